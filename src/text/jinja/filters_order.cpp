// Filters that compare elements: sort, unique, min, max, groupby, dictsort; and sum.
#include <algorithm>
#include <array>

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

// What an element is compared by: itself or an attribute of it, in lower case unless case counts.
Value key_of(Interpreter& in, const Value& item, const Value* attribute, bool case_sensitive) {
  Value key = item;
  if (attribute && !attribute->is_none()) {
    key = attribute->is_string() ? in.item(item, attribute->text().text, Value()) : in.item(item, *attribute);
  }
  if (!case_sensitive && key.is_string()) {
    in.budget().spend_bytes(key.text().size());
    return Value::string(lower(key.text()));
  }
  return key;
}

struct Keyed {
  Value key, item;
};

std::vector<Keyed> keyed(Interpreter& in, const Value& input, const Value* attribute, bool case_sensitive) {
  std::vector<Keyed> all;
  const auto held = elements(in.budget(), input);
  for (const auto& item : held->items) {
    all.push_back({key_of(in, item, attribute, case_sensitive), item});
  }
  return all;
}

void sort_keyed(Interpreter& in, std::vector<Keyed>& all, bool reverse) {
  std::stable_sort(all.begin(), all.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? compare(in.budget(), b.key, a.key) < 0 : compare(in.budget(), a.key, b.key) < 0;
  });
}

Value items_of(std::vector<Keyed> all) {
  std::vector<Value> items;
  for (auto& entry : all) items.push_back(std::move(entry.item));
  return Value::list(std::move(items));
}

// sort(attribute='a,b') sorts by several.
Value sort(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "sort", {"reverse", "case_sensitive", "attribute"});
  const bool reverse = bound.truth_or(0, false), cased = bound.truth_or(1, false);
  const Value* attribute = bound.get(2);
  if (!attribute || !attribute->is_string() || attribute->text().text.find(',') == std::string::npos) {
    auto all = keyed(in, input, attribute, cased);
    sort_keyed(in, all, reverse);
    return items_of(std::move(all));
  }
  const MarkedText comma(",", true);
  const auto names = split(in.budget(), attribute->text(), &comma, -1, false);
  std::vector<Keyed> all;
  const auto held = elements(in.budget(), input);
  for (const auto& item : held->items) {
    std::vector<Value> keys;
    for (const auto& name : names) keys.push_back(key_of(in, item, &name, cased));
    all.push_back({Value::list(std::move(keys)), item});
  }
  sort_keyed(in, all, reverse);
  return items_of(std::move(all));
}

Value unique(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "unique", {"case_sensitive", "attribute"});
  Dict seen;
  std::vector<Value> kept;
  for (auto& [key, item] : keyed(in, input, bound.get(1), bound.truth_or(0, false))) {
    if (seen.find(key)) continue;
    seen.set(key, Value::none());
    kept.push_back(item);
  }
  return Value::list(std::move(kept), List::Kind::kGenerator);
}

template <int sign>
Value extreme(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, sign < 0 ? "min" : "max", {"case_sensitive", "attribute"});
  const auto all = keyed(in, input, bound.get(1), bound.truth_or(0, false));
  if (all.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Keyed* best = &all[0];
  for (const auto& entry : all) {
    if (compare(in.budget(), entry.key, best->key) * sign > 0) best = &entry;
  }
  return best->item;
}

Value sum(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "sum", {"attribute", "start"});
  Value total = bound.get(1) ? *bound.get(1) : Value::integer(0);
  for (const auto& [key, item] : keyed(in, input, bound.get(0), true)) total = apply(in.budget(), Op::kAdd, total, key);
  return total;
}

Value sort_dict(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "dictsort", {"case_sensitive", "by", "reverse"});
  if (input.is_undefined()) input.raise_undefined();
  if (!input.is_dict()) raise("dictsort needs a mapping, not " + std::string(input.type_name()));
  const std::string by = bound.get(1) ? bound.text(1).text : "key";
  if (by != "key" && by != "value") raise("You can only sort by either \"key\" or \"value\"");
  in.budget().spend_elements(input.dict().entries().size());
  std::vector<Keyed> all;
  for (const auto& [key, value] : input.dict().entries()) {
    all.push_back({key_of(in, by == "key" ? key : value, nullptr, bound.truth_or(0, false)),
                   Value::list({key, value}, List::Kind::kTuple)});
  }
  sort_keyed(in, all, bound.truth_or(2, false));
  return items_of(std::move(all));
}

Value group_by(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "groupby", {"attribute", "default", "case_sensitive"});
  bound.required(0);
  auto all = keyed(in, input, bound.get(0), bound.truth_or(2, false));
  for (auto& entry : all) {
    if (entry.key.is_undefined() && bound.get(1)) entry.key = *bound.get(1);
  }
  sort_keyed(in, all, false);
  std::vector<Value> groups;
  for (size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    std::vector<Value> members;
    for (end = begin; end < all.size() && equal(in.budget(), all[begin].key, all[end].key); ++end) {
      members.push_back(all[end].item);
    }
    if (end == begin) members.push_back(all[end++].item);  // a key unequal to itself: NaN
    Value name = key_of(in, all[begin].item, bound.get(0), true);
    if (name.is_undefined()) name = all[begin].key;
    groups.push_back(Value::list({name, Value::list(std::move(members))}, List::Kind::kTuple));
  }
  return Value::list(std::move(groups));
}

constexpr std::array kRows{
    FilterRow{"sort", sort},        FilterRow{"unique", unique}, FilterRow{"min", extreme<-1>},
    FilterRow{"max", extreme<1>},   FilterRow{"sum", sum},       FilterRow{"dictsort", sort_dict},
    FilterRow{"groupby", group_by},
};

}  // namespace

std::span<const FilterRow> order_filters() { return kRows; }

}  // namespace tern::jinja
