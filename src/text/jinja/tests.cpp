// `value is name(...)`: Jinja's tests, one row each.
#include <unordered_map>

#include "text/jinja/objects.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/utf8.h"

namespace tern::jinja {
namespace {

template <Op op>
bool compares(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Bound bound(arguments, "test", {"other"});
  return holds(in.budget(), op, value, bound.required(0));
}

template <bool (Value::*is)() const>
bool kind(Interpreter&, const Value& value, const Arguments&) {
  return (value.*is)();
}

template <bool wanted>
bool is_boolean(Interpreter&, const Value& value, const Arguments&) {
  return value.is_boolean() && value.truth_of_boolean() == wanted;
}

// Python's remainder, also of a bool or float.
Value remainder(Interpreter& in, const Value& value, int64_t by) {
  return apply(in.budget(), Op::kModulo, value, Value::integer(by));
}

bool odd(Interpreter& in, const Value& value, const Arguments&) {
  return equal(in.budget(), remainder(in, value, 2), Value::integer(1));
}

bool even(Interpreter& in, const Value& value, const Arguments&) {
  return equal(in.budget(), remainder(in, value, 2), Value::integer(0));
}

bool divisible_by(Interpreter& in, const Value& value, const Arguments& arguments) {
  const Bound bound(arguments, "divisibleby", {"num"});
  return equal(in.budget(), apply(in.budget(), Op::kModulo, value, bound.required(0)), Value::integer(0));
}

bool iterable(Interpreter&, const Value& value, const Arguments&) {
  return value.is_string() || value.is_list() || value.is_dict() || value.is_undefined();
}

bool sequence(Interpreter&, const Value& value, const Arguments&) {
  return value.is_string() || value.is_dict() || value.is_undefined() ||
         (value.is_list() && value.list().kind <= List::Kind::kTuple);
}

bool callable(Interpreter&, const Value& value, const Arguments&) {
  return value.is_undefined() || (value.is_object() && value.object()->callable());
}

bool same_as(Interpreter&, const Value& value, const Arguments& arguments) {
  const Bound bound(arguments, "sameas", {"other"});
  return value.same_as(bound.required(0));
}

// As str.isupper and str.islower: at least one cased letter, and none of the other case.
template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
bool has_case(Interpreter& in, const Value& value, const Arguments&) {
  const MarkedText text = in.text_of(value);
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text.text, at);
    if (other(point.value)) return false;
    found = found || wanted(point.value);
    at += point.bytes;
  }
  return found;
}

bool defined(Interpreter&, const Value& value, const Arguments&) { return !value.is_undefined(); }
bool never(Interpreter&, const Value&, const Arguments&) { return false; }
bool is_filter(Interpreter& in, const Value& value, const Arguments&) { return find_filter(in.text_of(value).text); }
bool is_test(Interpreter& in, const Value& value, const Arguments&) { return find_test(in.text_of(value).text); }

const std::unordered_map<std::string_view, Test>& table() {
  static const std::unordered_map<std::string_view, Test> kTests{
      {"defined", defined},
      {"undefined", kind<&Value::is_undefined>},
      {"none", kind<&Value::is_none>},
      {"boolean", kind<&Value::is_boolean>},
      {"true", is_boolean<true>},
      {"false", is_boolean<false>},
      {"integer", kind<&Value::is_integer>},
      {"float", kind<&Value::is_float>},
      {"number", kind<&Value::is_number>},
      {"string", kind<&Value::is_string>},
      {"mapping", kind<&Value::is_dict>},
      {"iterable", iterable},
      {"sequence", sequence},
      {"callable", callable},
      {"sameas", same_as},
      {"odd", odd},
      {"even", even},
      {"divisibleby", divisible_by},
      {"upper", has_case<is_cased_upper, is_cased_lower>},
      {"lower", has_case<is_cased_lower, is_cased_upper>},
      {"escaped", never},
      {"filter", is_filter},
      {"test", is_test},
      {"in", compares<Op::kIn>},
      {"==", compares<Op::kEqual>},
      {"eq", compares<Op::kEqual>},
      {"equalto", compares<Op::kEqual>},
      {"!=", compares<Op::kNotEqual>},
      {"ne", compares<Op::kNotEqual>},
      {"<", compares<Op::kLess>},
      {"lt", compares<Op::kLess>},
      {"lessthan", compares<Op::kLess>},
      {"<=", compares<Op::kLessEqual>},
      {"le", compares<Op::kLessEqual>},
      {">", compares<Op::kGreater>},
      {"gt", compares<Op::kGreater>},
      {"greaterthan", compares<Op::kGreater>},
      {">=", compares<Op::kGreaterEqual>},
      {"ge", compares<Op::kGreaterEqual>},
  };
  return kTests;
}

}  // namespace

Test find_test(std::string_view name) {
  const auto found = table().find(name);
  return found == table().end() ? nullptr : found->second;
}

}  // namespace tern::jinja
