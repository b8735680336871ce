// Filters that pick, map and cut lists.
#include <algorithm>
#include <array>

#include "text/jinja/filters.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

// The arguments after the first `count`, for a filter or test that another filter applies.
Arguments without_first(const Arguments& arguments, size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(std::min(count, rest.positional.size())));
  return rest;
}

const std::string& name_at(const Arguments& arguments, size_t i, std::string_view what) {
  if (i >= arguments.positional.size() || !arguments.positional[i].is_string()) {
    raise(std::string(what) + "() needs a name");
  }
  return arguments.positional[i].text().text;
}

Value attribute_of(Interpreter& in, const Value& item, const Value& attribute, const Value& fallback) {
  in.budget().spend(1);
  if (attribute.is_whole()) {
    Value value = in.item(item, attribute);
    return value.is_undefined() && !fallback.is_undefined() ? fallback : value;
  }
  if (!attribute.is_string()) raise("an attribute is a name or a number, not " + std::string(attribute.type_name()));
  return in.item(item, attribute.text().text, fallback);
}

// jinja2's map, select and reject take whatever is false for an empty list, and then do not look at their arguments.
Value nothing() { return Value::list({}, List::Kind::kGenerator); }

Value map(Interpreter& in, const Value& input, const Arguments& arguments) {
  if (!input.truthy()) return nothing();
  std::vector<Value> results;
  const auto items = elements(in.budget(), input);
  if (arguments.positional.empty()) {
    const Bound bound(arguments, "map", {"attribute", "default"});
    const Value fallback = bound.get(1) ? *bound.get(1) : Value();
    for (const auto& item : items->items) results.push_back(attribute_of(in, item, bound.required(0), fallback));
  } else {
    const Filter filter = filter_named(name_at(arguments, 0, "map"));
    const Arguments rest = without_first(arguments, 1);
    for (const auto& item : items->items) {
      in.budget().spend(4);
      if (item.is_string()) in.budget().spend_bytes(item.text().size());
      results.push_back(filter(in, item, rest));
    }
  }
  return Value::list(std::move(results), List::Kind::kGenerator);
}

// select, reject and their attribute forms.
template <bool wanted, bool by_attribute>
Value choose(Interpreter& in, const Value& input, const Arguments& arguments) {
  if (!input.truthy()) return nothing();
  constexpr size_t kFirst = by_attribute ? 1 : 0;
  if (by_attribute && arguments.positional.empty()) raise("selectattr() needs an attribute");
  const bool has_test = arguments.positional.size() > kFirst;
  const Test test = has_test ? test_named(name_at(arguments, kFirst, "select")) : nullptr;
  const Arguments rest = without_first(arguments, kFirst + 1);
  std::vector<Value> kept;
  const auto held = elements(in.budget(), input);
  for (const auto& item : held->items) {
    in.budget().spend(4);
    const Value value = by_attribute ? attribute_of(in, item, arguments.positional[0], Value()) : item;
    if ((test ? test(in, value, rest) : value.truthy()) == wanted) kept.push_back(item);
  }
  return Value::list(std::move(kept), List::Kind::kGenerator);
}

Value list(Interpreter& in, const Value& input, const Arguments&) {
  return Value::list(elements(in.budget(), input)->items);
}

Value length(Interpreter& in, const Value& input, const Arguments&) {
  if (input.is_undefined()) return Value::integer(0);
  if (input.is_string()) return Value::integer(static_cast<int64_t>(count_code_points(input.text().text)));
  if (input.is_dict()) return Value::integer(static_cast<int64_t>(input.dict().entries().size()));
  if (input.is_list() && input.list().kind != List::Kind::kGenerator) {
    return Value::integer(static_cast<int64_t>(input.list().items.size()));
  }
  (void)in;
  raise("object of type '" + std::string(input.type_name()) + "' has no len()");
}

Value first(Interpreter& in, const Value& input, const Arguments&) {
  const auto items = elements(in.budget(), input);
  return items->items.empty() ? Value::undefined("No first item, sequence was empty.") : items->items.front();
}

Value last(Interpreter& in, const Value& input, const Arguments&) {
  if (input.is_list() && input.list().kind == List::Kind::kGenerator) raise("'generator' object is not reversible");
  const auto items = elements(in.budget(), input);
  return items->items.empty() ? Value::undefined("No last item, sequence was empty.") : items->items.back();
}

Value reverse(Interpreter& in, const Value& input, const Arguments&) {
  std::vector<Value> items = elements(in.budget(), input)->items;
  std::reverse(items.begin(), items.end());
  if (!input.is_string()) return Value::list(std::move(items), List::Kind::kGenerator);
  MarkedText out;
  for (const auto& item : items) out.append(item.text());
  return Value::string(std::move(out));
}

Value join(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "join", {"d", "attribute"});
  const MarkedText separator = bound.get(0) ? in.text_of(*bound.get(0)) : MarkedText();
  const bool by_attribute = bound.get(1) && !bound.get(1)->is_none();
  MarkedText out;
  bool begins = true;
  const auto held = elements(in.budget(), input);
  for (const auto& item : held->items) {
    if (!std::exchange(begins, false)) out.append(separator);
    out.append(in.text_of(by_attribute ? attribute_of(in, item, *bound.get(1), Value()) : item));
    if (out.size() > Limits::kTemplateOutputBytes) break;
  }
  in.budget().spend_bytes(out.size());
  return Value::string(std::move(out));
}

Value items(Interpreter& in, const Value& input, const Arguments&) {
  std::vector<Value> pairs;
  if (!input.is_undefined()) {
    if (!input.is_dict()) raise("Can only get item pairs from a mapping.");
    in.budget().spend_elements(input.dict().entries().size());
    for (const auto& [key, value] : input.dict().entries()) {
      pairs.push_back(Value::list({key, value}, List::Kind::kTuple));
    }
  }
  return Value::list(std::move(pairs), List::Kind::kGenerator);
}

Value batch(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "batch", {"linecount", "fill_with"});
  bound.required(0);
  const int64_t size = bound.whole_or(0, 1);
  if (size < 1) raise("batch(): a size of " + std::to_string(size));
  std::vector<Value> rows, row;
  const auto held = elements(in.budget(), input);
  for (const auto& item : held->items) {
    if (static_cast<int64_t>(row.size()) == size) rows.push_back(Value::list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (bound.get(1) && !bound.get(1)->is_none()) {
      in.budget().spend_elements(static_cast<uint64_t>(size));
      row.resize(static_cast<size_t>(size), *bound.get(1));
    }
    rows.push_back(Value::list(std::move(row)));
  }
  return Value::list(std::move(rows), List::Kind::kGenerator);
}

Value slices(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "slice", {"slices", "fill_with"});
  bound.required(0);
  const int64_t count = bound.whole_or(0, 1);
  if (count < 1) raise("slice(): a count of " + std::to_string(count));
  in.budget().spend_elements(static_cast<uint64_t>(count));
  const auto all = elements(in.budget(), input);
  const auto size = static_cast<int64_t>(all->items.size());
  const int64_t each = size / count, longer = size % count;
  std::vector<Value> columns;
  size_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto take = static_cast<size_t>(each + (i < longer ? 1 : 0));
    std::vector<Value> column(all->items.begin() + static_cast<std::ptrdiff_t>(at),
                              all->items.begin() + static_cast<std::ptrdiff_t>(at + take));
    at += take;
    if (bound.get(1) && !bound.get(1)->is_none() && i >= longer) column.push_back(*bound.get(1));
    columns.push_back(Value::list(std::move(column)));
  }
  return Value::list(std::move(columns), List::Kind::kGenerator);
}

constexpr std::array kRows{
    FilterRow{"map", map},
    FilterRow{"select", choose<true, false>},
    FilterRow{"reject", choose<false, false>},
    FilterRow{"selectattr", choose<true, true>},
    FilterRow{"rejectattr", choose<false, true>},
    FilterRow{"list", list},
    FilterRow{"length", length},
    FilterRow{"count", length},
    FilterRow{"first", first},
    FilterRow{"last", last},
    FilterRow{"reverse", reverse},
    FilterRow{"join", join},
    FilterRow{"items", items},
    FilterRow{"batch", batch},
    FilterRow{"slice", slices},
};

}  // namespace

std::span<const FilterRow> sequence_filters() { return kRows; }

}  // namespace tern::jinja
