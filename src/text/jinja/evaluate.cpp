#include "text/jinja/interpreter.h"
#include "text/jinja/objects.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

std::string no_attribute(const Value& object, std::string_view name) {
  return "'" + std::string(object.type_name()) + " object' has no attribute '" + std::string(name) + "'";
}

Value element_at(Budget& budget, const Value& container, int64_t index) {
  const auto place = [index](size_t size) {
    const int64_t at = index < 0 ? index + static_cast<int64_t>(size) : index;
    return at >= 0 && at < static_cast<int64_t>(size) ? std::optional(static_cast<size_t>(at)) : std::nullopt;
  };
  if (container.is_string()) {
    budget.spend_bytes(container.text().size());
    const auto starts = code_point_starts(container.text().text);
    const auto at = place(starts.size() - 1);
    if (at) return Value::string(container.text().substr(starts[*at], starts[*at + 1] - starts[*at]));
  } else if (container.is_list() && container.list().kind <= List::Kind::kTuple) {
    if (const auto at = place(container.list().items.size())) return container.list().items[*at];
  }
  return Value::undefined("'" + std::string(container.type_name()) + " object' has no element " +
                          std::to_string(index));
}

}  // namespace

Value Interpreter::attribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) object.raise_undefined();
  if (object.is_object()) {
    auto value = object.object()->attribute(*this, name);
    return value ? *value : Value::undefined(no_attribute(object, name));
  }
  bool hidden = false;
  if (const auto method = find_method(object, name, hidden)) {
    return Value::object(std::make_shared<BoundMethod>(object, method));
  }
  if (hidden) return Value::undefined("access to attribute '" + std::string(name) + "' is unsafe");
  if (object.is_dict()) {
    if (const Value* value = object.dict().find(name)) return *value;
  }
  return Value::undefined(no_attribute(object, name));
}

Value Interpreter::item(const Value& object, const Value& key) {
  if (object.is_undefined()) object.raise_undefined();
  if (object.is_dict()) {
    if (!key.is_undefined() && !key.is_list() && !key.is_dict() && !key.is_object()) {
      if (const Value* value = object.dict().find(key)) return *value;
    }
  } else if (key.is_whole()) {
    return element_at(budget_, object, key.whole());
  }
  if (!key.is_string()) return Value::undefined("'" + std::string(object.type_name()) + " object' has no such element");
  if (object.is_dict()) {  // not as attribute(): the keys were tried above
    bool hidden = false;
    const auto method = find_method(object, key.text().text, hidden);
    if (!method) return Value::undefined(no_attribute(object, key.text().text));
    return Value::object(std::make_shared<BoundMethod>(object, method));
  }
  return attribute(object, key.text().text);
}

Value Interpreter::item(const Value& object, std::string_view path, const Value& fallback) {
  Value at = object;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    const bool number = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == part.npos;
    at = number ? item(at, Value::integer(std::stoll(std::string(part))))
                : item(at, Value::string(std::string(part), true));
    if (at.is_undefined() && !fallback.is_undefined()) at = fallback;
    begin = end + 1;
  }
  return at;
}

Value Interpreter::call(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) callee.raise_undefined();
  if (!callee.is_object() || !callee.object()->callable()) {
    raise("'" + std::string(callee.type_name()) + "' object is not callable");
  }
  const auto object = callee.object();  // stays alive while it runs
  return object->call(*this, std::move(arguments));
}

Value Interpreter::evaluate(const Expr& expr) {
  const Deeper deeper(*this);
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.constant;
    case ExprKind::kName:
      return evaluate_name(expr);
    case ExprKind::kList:
    case ExprKind::kTuple:
      return evaluate_list(expr);
    case ExprKind::kDict:
      return evaluate_dict(expr);
    case ExprKind::kAttribute:
      return attribute(evaluate(*expr.children[0]), expr.name);
    case ExprKind::kItem:
      return evaluate_item(expr);
    case ExprKind::kSlice:
      raise("a slice outside of brackets");
    case ExprKind::kCall:
      return evaluate_call(expr, std::nullopt);
    case ExprKind::kFilter:
      return evaluate_filter(expr);
    case ExprKind::kTest:
      return evaluate_test(expr);
    case ExprKind::kArithmetic:
      return evaluate_arithmetic(expr);
    case ExprKind::kConcat:
      return evaluate_concat(expr);
    case ExprKind::kCompare:
      return evaluate_compare(expr);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return evaluate_logic(expr);
    case ExprKind::kNot:
      return Value::boolean(!evaluate(*expr.children[0]).truthy());
    case ExprKind::kNegative:
      return negate(evaluate(*expr.children[0]));
    case ExprKind::kPositive:
      return negate(negate(evaluate(*expr.children[0])));
    case ExprKind::kCondition:
      return evaluate_condition(expr);
    case ExprKind::kCaptured:
      return captured_;
  }
  return {};
}

Value Interpreter::evaluate_name(const Expr& expr) {
  const Value* found = find_variable(expr.name);
  return found ? *found : Value::undefined("'" + expr.name + "' is undefined");
}

Value Interpreter::evaluate_list(const Expr& expr) {
  std::vector<Value> items;
  items.reserve(expr.children.size());
  for (const auto& child : expr.children) items.push_back(evaluate(*child));
  return Value::list(std::move(items), expr.kind == ExprKind::kTuple ? List::Kind::kTuple : List::Kind::kList);
}

Value Interpreter::evaluate_dict(const Expr& expr) {
  Dict dict;
  for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    Value key = evaluate(*expr.children[i]);
    dict.set(std::move(key), evaluate(*expr.children[i + 1]));
  }
  return Value::dict(std::move(dict));
}

Value Interpreter::evaluate_item(const Expr& expr) {
  const Value object = evaluate(*expr.children[0]);
  const Expr& key = *expr.children[1];
  if (key.kind != ExprKind::kSlice) return item(object, evaluate(key));
  const auto part = [&](size_t i) { return key.children[i] ? evaluate(*key.children[i]) : Value::none(); };
  const Value begin = part(0), end = part(1);
  return slice(budget_, object, begin, end, part(2));
}

Arguments Interpreter::evaluate_arguments(const Expr& expr) {
  Arguments arguments;
  for (size_t i = 1; i < expr.children.size(); ++i) arguments.positional.push_back(evaluate(*expr.children[i]));
  for (const auto& [name, child] : expr.named) arguments.named.emplace_back(name, evaluate(*child));
  if (expr.star) {
    const auto items = elements(budget_, evaluate(*expr.star));
    arguments.positional.insert(arguments.positional.end(), items->items.begin(), items->items.end());
  }
  if (expr.double_star) {
    const Value named = evaluate(*expr.double_star);
    if (!named.is_dict()) raise("the argument after ** must be a mapping, not " + std::string(named.type_name()));
    budget_.spend_elements(named.dict().entries().size());
    for (const auto& [key, value] : named.dict().entries()) {
      if (!key.is_string()) raise("keywords must be strings");
      arguments.named.emplace_back(key.text().text, value);
    }
  }
  return arguments;
}

Value Interpreter::evaluate_call(const Expr& expr, std::optional<Value> caller) {
  const Value callee = evaluate(*expr.children[0]);
  Arguments arguments = evaluate_arguments(expr);
  if (caller) arguments.named.emplace_back("caller", std::move(*caller));
  line_ = expr.line;
  return call(callee, std::move(arguments));
}

Value Interpreter::evaluate_filter(const Expr& expr) {
  const Filter filter = filter_named(expr.name);
  const Value input = evaluate(*expr.children[0]);
  const Arguments arguments = evaluate_arguments(expr);
  line_ = expr.line;
  if (input.is_string()) budget_.spend_bytes(input.text().size());
  return filter(*this, input, arguments);
}

Value Interpreter::evaluate_test(const Expr& expr) {
  const Test test = test_named(expr.name);
  const Value input = evaluate(*expr.children[0]);
  const Arguments arguments = evaluate_arguments(expr);
  return Value::boolean(test(*this, input, arguments));
}

Value Interpreter::evaluate_arithmetic(const Expr& expr) {
  Value left = evaluate(*expr.children[0]);
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    const Value right = evaluate(*expr.children[i + 1]);
    left = apply(budget_, expr.ops[i], left, right);
  }
  return left;
}

Value Interpreter::evaluate_concat(const Expr& expr) {
  MarkedText all;
  for (const auto& child : expr.children) {
    all.append(text_of(evaluate(*child)));
    if (all.size() > Limits::kTemplateOutputBytes) budget_.spend_bytes(all.size());
  }
  budget_.spend_bytes(all.size());
  return Value::string(std::move(all));
}

Value Interpreter::evaluate_compare(const Expr& expr) {
  Value left = evaluate(*expr.children[0]);
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    Value right = evaluate(*expr.children[i + 1]);
    if (!holds(budget_, expr.ops[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_logic(const Expr& expr) {
  const bool stops_at = expr.kind == ExprKind::kOr;
  Value value;
  for (const auto& child : expr.children) {
    value = evaluate(*child);
    if (value.truthy() == stops_at) break;
  }
  return value;
}

Value Interpreter::evaluate_condition(const Expr& expr) {
  if (evaluate(*expr.children[1]).truthy()) return evaluate(*expr.children[0]);
  if (expr.children[2]) return evaluate(*expr.children[2]);
  return Value::undefined("the inline if-expression evaluated to false and no else section was defined");
}

}  // namespace tern::jinja
