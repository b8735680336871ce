// The methods of strings, dictionaries and lists that a template may call: those that change nothing.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "text/jinja/objects.h"
#include "text/jinja/strings.h"
#include "text/utf8.h"

namespace tern::jinja {
namespace {

using Method = BoundMethod::Body;
using Table = std::unordered_map<std::string_view, Method>;

void no_arguments(const Arguments& arguments, std::string_view what) { Bound(arguments, what, {}); }

template <MarkedText (*map)(const MarkedText&)>
Value mapped(Interpreter& in, const Value& self, const Arguments& arguments) {
  no_arguments(arguments, "str method");
  in.budget().spend_bytes(self.text().size());
  return Value::string(map(self.text()));
}

MarkedText title_words(const MarkedText& text) {
  return title(text, [](char32_t point) { return !is_letter(point); });
}

template <Side side>
Value stripped(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "strip", {"chars"});
  in.budget().spend_bytes(self.text().size());
  const bool spaces = !bound.get(0) || bound.get(0)->is_none();
  return Value::string(strip(self.text(), side, spaces ? nullptr : &bound.text(0)));
}

template <bool at_start>
Value starts_or_ends(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, at_start ? "startswith" : "endswith", {"affix"});
  const auto matches = [&](const MarkedText& affix) {
    in.budget().spend_bytes(affix.size());
    return at_start ? self.text().text.starts_with(affix.text) : self.text().text.ends_with(affix.text);
  };
  const Value& affix = bound.required(0);
  if (!affix.is_list()) return Value::boolean(matches(bound.text(0)));
  return Value::boolean(std::any_of(affix.list().items.begin(), affix.list().items.end(),
                                    [&](const Value& one) { return one.is_string() && matches(one.text()); }));
}

template <bool from_right>
Value splitted(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "split", {"sep", "maxsplit"});
  in.budget().spend_bytes(self.text().size());
  const bool spaces = !bound.get(0) || bound.get(0)->is_none();
  return Value::list(
      split(in.budget(), self.text(), spaces ? nullptr : &bound.text(0), bound.whole_or(1, -1), from_right));
}

Value split_at_lines(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "splitlines", {"keepends"});
  in.budget().spend_bytes(self.text().size());
  std::vector<Value> lines;
  for (auto& line : split_lines(self.text(), bound.truth_or(0, false))) lines.push_back(Value::string(std::move(line)));
  in.budget().spend_elements(4 * lines.size());
  return Value::list(std::move(lines));
}

Value replaced(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "replace", {"old", "new", "count"});
  in.budget().spend_bytes(self.text().size());
  return Value::string(replace(in.budget(), self.text(), bound.text(0), bound.text(1), bound.whole_or(2, -1)));
}

Value joined(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "join", {"iterable"});
  MarkedText out;
  bool first = true;
  const auto held = elements(in.budget(), bound.required(0));
  for (const auto& item : held->items) {
    if (!item.is_string()) raise("join(): expected a string, not " + std::string(item.type_name()));
    if (!std::exchange(first, false)) out.append(self.text());
    out.append(item.text());
    if (out.size() > Limits::kTemplateOutputBytes) break;
  }
  in.budget().spend_bytes(out.size());
  return Value::string(std::move(out));
}

// In code points, or -1.
template <bool from_right, bool must_find>
Value found_at(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "find", {"sub"});
  const std::string &text = self.text().text, &wanted = bound.text(0).text;
  in.budget().spend_bytes(text.size());
  if (from_right) in.budget().spend(text.size() / 64 * wanted.size());
  const size_t at = from_right ? text.rfind(wanted) : find_bytes(text, wanted, 0);
  if (at == std::string::npos && must_find) raise("substring not found");
  if (at == std::string::npos) return Value::integer(-1);
  return Value::integer(static_cast<int64_t>(count_code_points(std::string_view(text).substr(0, at))));
}

Value counted(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "count", {"sub"});
  const std::string &text = self.text().text, &wanted = bound.text(0).text;
  in.budget().spend_bytes(text.size());
  if (wanted.empty()) return Value::integer(static_cast<int64_t>(count_code_points(text)) + 1);
  int64_t count = 0;
  for (size_t at = find_bytes(text, wanted, 0); at != std::string::npos;
       at = find_bytes(text, wanted, at + wanted.size())) {
    ++count;
  }
  return Value::integer(count);
}

// At least one code point, and `holds` for each.
template <bool (*holds)(char32_t)>
Value all_points(Interpreter& in, const Value& self, const Arguments& arguments) {
  no_arguments(arguments, "str method");
  const std::string& text = self.text().text;
  in.budget().spend_bytes(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (!holds(point.value)) return Value::boolean(false);
    at += point.bytes;
  }
  return Value::boolean(!text.empty());
}

bool is_letter_or_digit(char32_t point) { return is_letter(point) || is_digit(point); }

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value has_case(Interpreter& in, const Value& self, const Arguments&) {
  const std::string& text = self.text().text;
  in.budget().spend_bytes(text.size());
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (other(point.value)) return Value::boolean(false);
    found = found || wanted(point.value);
    at += point.bytes;
  }
  return Value::boolean(found);
}

enum class Align : uint8_t { kLeft, kRight, kZeros };

template <Align align>
Value justified(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "justify", {"width", "fillchar"});
  const MarkedText& text = self.text();
  bound.required(0);
  const auto missing = bound.whole_or(0, 0) - static_cast<int64_t>(count_code_points(text.text));
  const MarkedText fill = bound.get(1) ? bound.text(1) : MarkedText(align == Align::kZeros ? "0" : " ", false);
  const MarkedText padding = repeat(in.budget(), fill, missing);
  if (align == Align::kLeft) {
    MarkedText out = text;
    out.append(padding);
    return Value::string(std::move(out));
  }
  const bool sign = align == Align::kZeros && !text.empty() && (text.text[0] == '-' || text.text[0] == '+');
  MarkedText out = text.substr(0, sign ? 1 : 0);
  out.append(padding);
  out.append(text, sign ? 1 : 0, std::string::npos);
  return Value::string(std::move(out));
}

template <bool from_right>
Value partitioned(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "partition", {"sep"});
  const auto parts = split(in.budget(), self.text(), &bound.text(0), 1, from_right);
  const Value empty = Value::string("", true);
  if (parts.size() == 2) return Value::list({parts[0], bound.required(0), parts[1]}, List::Kind::kTuple);
  return from_right ? Value::list({empty, empty, self}, List::Kind::kTuple)
                    : Value::list({self, empty, empty}, List::Kind::kTuple);
}

template <bool prefix>
Value without_affix(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "removeprefix", {"affix"});
  const MarkedText& text = self.text();
  const std::string& affix = bound.text(0).text;
  if (prefix && text.text.starts_with(affix)) return Value::string(text.substr(affix.size()));
  if (!prefix && text.text.ends_with(affix)) return Value::string(text.substr(0, text.size() - affix.size()));
  return self;
}

Value formatted(Interpreter& in, const Value& self, const Arguments& arguments) {
  return Value::string(format_braces(in, self.text(), arguments));
}

enum class Part : uint8_t { kKeys, kValues, kItems };

template <Part part>
Value view(Interpreter& in, const Value& self, const Arguments& arguments) {
  no_arguments(arguments, "dict method");
  in.budget().spend_elements(self.dict().entries().size());
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries()) {
    items.push_back(part == Part::kKeys     ? key
                    : part == Part::kValues ? value
                                            : Value::list({key, value}, List::Kind::kTuple));
  }
  return Value::list(std::move(items), List::Kind::kView);
}

Value get(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "get", {"key", "default"});
  if (const Value* found = self.dict().find(bound.required(0))) return *found;
  return bound.get(1) ? *bound.get(1) : Value::none();
}

Value same(Interpreter&, const Value& self, const Arguments& arguments) {
  no_arguments(arguments, "copy");
  return self;
}

template <bool position>
Value index_or_count(Interpreter& in, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, position ? "index" : "count", {"value"});
  int64_t count = 0;
  const auto& items = self.list().items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!equal(in.budget(), items[i], bound.required(0))) continue;
    if (position) return Value::integer(static_cast<int64_t>(i));
    ++count;
  }
  if (position) raise("the value is not in the list");
  return Value::integer(count);
}

const Table& string_methods() {
  static const Table kMethods{
      {"upper", mapped<upper>},
      {"lower", mapped<lower>},
      {"casefold", mapped<lower>},
      {"capitalize", mapped<capitalize>},
      {"title", mapped<title_words>},
      {"strip", stripped<Side::kBoth>},
      {"lstrip", stripped<Side::kLeft>},
      {"rstrip", stripped<Side::kRight>},
      {"startswith", starts_or_ends<true>},
      {"endswith", starts_or_ends<false>},
      {"split", splitted<false>},
      {"rsplit", splitted<true>},
      {"splitlines", split_at_lines},
      {"replace", replaced},
      {"join", joined},
      {"find", found_at<false, false>},
      {"rfind", found_at<true, false>},
      {"index", found_at<false, true>},
      {"rindex", found_at<true, true>},
      {"count", counted},
      {"isdigit", all_points<is_digit>},
      {"isdecimal", all_points<is_digit>},
      {"isnumeric", all_points<is_digit>},
      {"isalpha", all_points<is_letter>},
      {"isalnum", all_points<is_letter_or_digit>},
      {"isspace", all_points<is_space>},
      {"isupper", has_case<is_cased_upper, is_cased_lower>},
      {"islower", has_case<is_cased_lower, is_cased_upper>},
      {"zfill", justified<Align::kZeros>},
      {"ljust", justified<Align::kLeft>},
      {"rjust", justified<Align::kRight>},
      {"partition", partitioned<false>},
      {"rpartition", partitioned<true>},
      {"removeprefix", without_affix<true>},
      {"removesuffix", without_affix<false>},
      {"format", formatted},
  };
  return kMethods;
}

const Table& dict_methods() {
  static const Table kMethods{{"keys", view<Part::kKeys>},
                              {"values", view<Part::kValues>},
                              {"items", view<Part::kItems>},
                              {"get", get},
                              {"copy", same}};
  return kMethods;
}

const Table& list_methods() {
  static const Table kMethods{{"index", index_or_count<true>}, {"count", index_or_count<false>}, {"copy", same}};
  return kMethods;
}

// What Python's types have besides and a sandbox refuses: a key of the same name is hidden by it.
constexpr std::array<std::string_view, 6> kDictChanges{"clear", "pop", "popitem", "setdefault", "update", "fromkeys"};

}  // namespace

BoundMethod::Body find_method(const Value& self, std::string_view name, bool& hidden) {
  hidden = name.starts_with("__") ||
           (self.is_dict() && std::find(kDictChanges.begin(), kDictChanges.end(), name) != kDictChanges.end());
  const Table* table = self.is_string()                                           ? &string_methods()
                       : self.is_dict()                                           ? &dict_methods()
                       : self.is_list() && self.list().kind <= List::Kind::kTuple ? &list_methods()
                                                                                  : nullptr;
  if (!table || hidden) return nullptr;
  const auto found = table->find(name);
  return found == table->end() ? nullptr : found->second;
}

}  // namespace tern::jinja
