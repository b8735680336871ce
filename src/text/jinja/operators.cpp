#include "text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

std::string_view symbol(Op op) {
  constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<size_t>(op)];
}

[[noreturn]] void no_operator(Op op, const Value& a, const Value& b) {
  raise("unsupported operand types for " + std::string(symbol(op)) + ": '" + std::string(a.type_name()) + "' and '" +
        std::string(b.type_name()) + "'");
}

[[noreturn]] void too_large() { raise("a whole number is too large"); }

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) raise("division by zero");
  if (b == -1) {
    int64_t negated;
    if (__builtin_sub_overflow(int64_t{0}, a, &negated)) too_large();
    return negated;
  }
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == 0) raise("division by zero");
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

int64_t whole_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) too_large();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) too_large();
  }
  return result;
}

Value whole_arithmetic(Op op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Op::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Op::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Op::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Op::kFloorDivide:
      result = floor_divide(a, b);
      break;
    case Op::kModulo:
      result = modulo(a, b);
      break;
    case Op::kPower:
      if (b < 0) return Value::number(std::pow(static_cast<double>(a), static_cast<double>(b)));
      result = whole_power(a, b);
      break;
    default:
      if (b == 0) raise("division by zero");
      return Value::number(static_cast<double>(a) / static_cast<double>(b));
  }
  if (overflow) too_large();
  return Value::integer(result);
}

Value real_arithmetic(Op op, double a, double b) {
  const bool divides = op == Op::kDivide || op == Op::kFloorDivide || op == Op::kModulo;
  if (divides && b == 0) raise("division by zero");
  switch (op) {
    case Op::kAdd:
      return Value::number(a + b);
    case Op::kSubtract:
      return Value::number(a - b);
    case Op::kMultiply:
      return Value::number(a * b);
    case Op::kDivide:
      return Value::number(a / b);
    case Op::kFloorDivide:
      return Value::number(std::floor(a / b));
    case Op::kPower:
      return Value::number(std::pow(a, b));
    default:
      break;
  }
  const double rest = std::fmod(a, b);
  return Value::number(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

Value repeated(Budget& budget, const Value& value, int64_t count) {
  if (value.is_string()) return Value::string(repeat(budget, value.text(), count));
  const List& list = value.list();
  std::vector<Value> items;
  if (count > 0 && !list.items.empty()) {
    if (static_cast<uint64_t>(count) > Limits::kTemplateSteps) budget.spend_elements(static_cast<uint64_t>(count));
    budget.spend_elements(static_cast<uint64_t>(count) * list.items.size());
    for (int64_t i = 0; i < count; ++i) items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return Value::list(std::move(items), list.kind);
}

Value added(Budget& budget, const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) {
    budget.spend_bytes(a.text().size() + b.text().size());
    MarkedText both = a.text();
    both.append(b.text());
    return Value::string(std::move(both));
  }
  const bool lists = a.is_list() && b.is_list() && a.list().kind == b.list().kind;
  if (!lists || a.list().kind > List::Kind::kTuple) no_operator(Op::kAdd, a, b);
  budget.spend_elements(a.list().items.size() + b.list().items.size());
  std::vector<Value> items = a.list().items;
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  return Value::list(std::move(items), a.list().kind);
}

bool repeats(const Value& value) {
  return value.is_string() || (value.is_list() && value.list().kind <= List::Kind::kTuple);
}

// Python's rule for the bounds of a slice over `size` elements.
struct Range {
  int64_t begin, end, step;
};

Range slice_range(int64_t size, const Value& begin, const Value& end, const Value& step) {
  const auto number = [](const Value& value, int64_t fallback) {
    if (value.is_none()) return fallback;
    if (value.is_undefined()) value.raise_undefined();
    if (!value.is_whole()) raise("slice indices must be integers or None");
    return value.whole();
  };
  const int64_t by = number(step, 1);
  if (by == 0) raise("slice step cannot be zero");
  const int64_t low = by < 0 ? -1 : 0, high = by < 0 ? size - 1 : size;
  const auto clamp = [&](int64_t index) {
    if (index < 0) index = index < -size ? -1 - size : index;  // keeps the sum below from overflowing
    return std::clamp(index < 0 ? index + size : index, low, high);
  };
  return {begin.is_none() ? (by < 0 ? high : low) : clamp(number(begin, 0)),
          end.is_none() ? (by < 0 ? low : high) : clamp(number(end, 0)), by};
}

}  // namespace

Value apply(Budget& budget, Op op, const Value& a, const Value& b) {
  if (a.is_undefined()) a.raise_undefined();
  if (op == Op::kModulo && a.is_string()) {
    Arguments values;
    if (b.is_list() && b.list().kind == List::Kind::kTuple) {
      values.positional = b.list().items;
    } else {
      values.positional.push_back(b);
    }
    return Value::string(format_percent(budget, a.text(), values));
  }
  if (b.is_undefined()) b.raise_undefined();
  if (a.is_whole() && b.is_whole()) return whole_arithmetic(op, a.whole(), b.whole());
  if (a.is_number() && b.is_number()) return real_arithmetic(op, a.real(), b.real());
  if (op == Op::kAdd) return added(budget, a, b);
  if (op == Op::kMultiply && repeats(a) && b.is_whole()) return repeated(budget, a, b.whole());
  if (op == Op::kMultiply && a.is_whole() && repeats(b)) return repeated(budget, b, a.whole());
  no_operator(op, a, b);
}

bool holds(Budget& budget, Op comparison, const Value& a, const Value& b) {
  switch (comparison) {
    case Op::kEqual:
      return equal(budget, a, b);
    case Op::kNotEqual:
      return !equal(budget, a, b);
    case Op::kLess:
      return compare(budget, a, b) < 0;
    case Op::kLessEqual:
      return compare(budget, a, b) <= 0;
    case Op::kGreater:
      return compare(budget, a, b) > 0;
    case Op::kGreaterEqual:
      return compare(budget, a, b) >= 0;
    case Op::kIn:
      return contains(budget, b, a);
    default:
      return !contains(budget, b, a);
  }
}

Value negate(const Value& value) {
  if (value.is_undefined()) value.raise_undefined();
  if (value.is_whole()) return whole_arithmetic(Op::kSubtract, 0, value.whole());
  if (value.is_float()) return Value::number(-value.real());
  raise("bad operand type for unary -: '" + std::string(value.type_name()) + "'");
}

Value slice(Budget& budget, const Value& container, const Value& begin, const Value& end, const Value& step) {
  if (container.is_undefined()) container.raise_undefined();
  const auto each = [](Range range, auto&& visit) {
    for (int64_t i = range.begin; range.step > 0 ? i < range.end : i > range.end;) {
      visit(static_cast<size_t>(i));
      if (__builtin_add_overflow(i, range.step, &i)) break;
    }
  };
  if (container.is_string()) {
    const MarkedText& text = container.text();
    budget.spend_bytes(text.size());
    const auto starts = code_point_starts(text.text);
    MarkedText part;
    each(slice_range(static_cast<int64_t>(starts.size()) - 1, begin, end, step),
         [&](size_t i) { part.append(text, starts[i], starts[i + 1] - starts[i]); });
    return Value::string(std::move(part));
  }
  if (!repeats(container)) return Value::undefined("'" + std::string(container.type_name()) + "' cannot be sliced");
  const List& list = container.list();
  budget.spend_elements(list.items.size());
  std::vector<Value> items;
  each(slice_range(static_cast<int64_t>(list.items.size()), begin, end, step),
       [&](size_t i) { items.push_back(list.items[i]); });
  return Value::list(std::move(items), list.kind);
}

}  // namespace tern::jinja
