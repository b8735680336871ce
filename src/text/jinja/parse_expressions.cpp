#include <charconv>

#include "text/jinja/parser.h"

namespace tern::jinja {
namespace {

// Deep trees come from long postfix chains only; evaluation has to have room for a few of them inside one another.
constexpr uint32_t kTreeDepth = Limits::kTemplateEvalDepth / 4;

Value integer_constant(const std::string& digits) {
  int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec != std::errc()) raise("the number " + digits.substr(0, 32) + " is too large");
  return Value::integer(value);
}

Value float_constant(const std::string& digits) {
  double value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return Value::number(value);
}

}  // namespace

ExprPtr Parser::make(ExprKind kind) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = now().line;
  return expr;
}

ExprPtr Parser::make(ExprKind kind, ExprPtr child) const {
  auto expr = make(kind);
  adopt(*expr, std::move(child));
  return expr;
}

void Parser::adopt(Expr& parent, ExprPtr child) const {
  if (child) parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > kTreeDepth) refuse("an expression is more than " + std::to_string(kTreeDepth) + " levels deep");
  parent.children.push_back(std::move(child));
}

ExprPtr Parser::expression(bool with_condition) {
  const Nested nested(*this);
  ExprPtr left = or_expression();
  while (with_condition && take_name("if")) {
    auto condition = make(ExprKind::kCondition, std::move(left));
    adopt(*condition, or_expression());
    adopt(*condition, take_name("else") ? expression() : nullptr);
    left = std::move(condition);
  }
  return left;
}

ExprPtr Parser::tuple(bool with_condition) {
  ExprPtr first = expression(with_condition);
  if (!now().is_operator(",")) return first;
  auto all = make(ExprKind::kTuple, std::move(first));
  while (take_operator(",")) {
    const bool ends = now().kind == TokenKind::kBlockEnd || now().kind == TokenKind::kExpressionEnd ||
                      now().is_operator(")") || now().is_name("recursive");
    if (ends) break;
    adopt(*all, expression(with_condition));
  }
  return all;
}

ExprPtr Parser::or_expression() {
  ExprPtr left = and_expression();
  if (!now().is_name("or")) return left;
  auto all = make(ExprKind::kOr, std::move(left));
  while (take_name("or")) adopt(*all, and_expression());
  return all;
}

ExprPtr Parser::and_expression() {
  ExprPtr left = not_expression();
  if (!now().is_name("and")) return left;
  auto all = make(ExprKind::kAnd, std::move(left));
  while (take_name("and")) adopt(*all, not_expression());
  return all;
}

ExprPtr Parser::not_expression() {
  if (!take_name("not")) return comparison();
  const Nested nested(*this);
  return make(ExprKind::kNot, not_expression());
}

ExprPtr Parser::comparison() {
  static constexpr std::pair<std::string_view, Op> kOps[] = {{"==", Op::kEqual},  {"!=", Op::kNotEqual},
                                                             {"<", Op::kLess},    {"<=", Op::kLessEqual},
                                                             {">", Op::kGreater}, {">=", Op::kGreaterEqual}};
  ExprPtr left = sum();
  ExprPtr all;
  while (true) {
    std::optional<Op> op;
    for (const auto& [text, meaning] : kOps) {
      if (!op && take_operator(text)) op = meaning;
    }
    if (!op && take_name("in")) op = Op::kIn;
    if (!op && now().is_name("not") && ahead(1).is_name("in")) {
      at_ += 2;
      op = Op::kNotIn;
    }
    if (!op) return all ? std::move(all) : std::move(left);
    if (!all) all = make(ExprKind::kCompare, std::move(left));
    all->ops.push_back(*op);
    adopt(*all, sum());
  }
}

ExprPtr Parser::sum() {
  ExprPtr left = concat();
  if (!now().is_operator("+") && !now().is_operator("-")) return left;
  auto all = make(ExprKind::kArithmetic, std::move(left));
  while (now().is_operator("+") || now().is_operator("-")) {
    all->ops.push_back(take().text == "+" ? Op::kAdd : Op::kSubtract);
    adopt(*all, concat());
  }
  return all;
}

ExprPtr Parser::concat() {
  ExprPtr left = product();
  if (!now().is_operator("~")) return left;
  auto all = make(ExprKind::kConcat, std::move(left));
  while (take_operator("~")) adopt(*all, product());
  return all;
}

ExprPtr Parser::product() {
  static constexpr std::pair<std::string_view, Op> kOps[] = {
      {"*", Op::kMultiply}, {"/", Op::kDivide}, {"//", Op::kFloorDivide}, {"%", Op::kModulo}};
  ExprPtr left = power();
  ExprPtr all;
  while (true) {
    std::optional<Op> op;
    for (const auto& [text, meaning] : kOps) {
      if (!op && take_operator(text)) op = meaning;
    }
    if (!op) return all ? std::move(all) : std::move(left);
    if (!all) all = make(ExprKind::kArithmetic, std::move(left));
    all->ops.push_back(*op);
    adopt(*all, power());
  }
}

ExprPtr Parser::power() {
  ExprPtr left = unary();
  if (!now().is_operator("**")) return left;
  auto all = make(ExprKind::kArithmetic, std::move(left));
  while (take_operator("**")) {  // from the left, unlike Python
    all->ops.push_back(Op::kPower);
    adopt(*all, unary());
  }
  return all;
}

ExprPtr Parser::unary(bool with_filter) {
  ExprPtr expr;
  if (take_operator("-")) {
    const Nested nested(*this);
    expr = make(ExprKind::kNegative, unary(false));
  } else if (take_operator("+")) {
    const Nested nested(*this);
    expr = make(ExprKind::kPositive, unary(false));
  } else {
    expr = primary();
  }
  expr = postfix(std::move(expr));
  return with_filter ? filters_and_tests(std::move(expr)) : std::move(expr);
}

ExprPtr Parser::primary() {
  auto expr = make(ExprKind::kConstant);
  const Token token = take();
  switch (token.kind) {
    case TokenKind::kName:
      if (token.text == "true" || token.text == "True") {
        expr->constant = Value::boolean(true);
      } else if (token.text == "false" || token.text == "False") {
        expr->constant = Value::boolean(false);
      } else if (token.text == "none" || token.text == "None") {
        expr->constant = Value::none();
      } else {
        expr->kind = ExprKind::kName;
        expr->name = token.text;
        if (macro_ && token.text == "varargs") macro_->uses_varargs = true;
        if (macro_ && token.text == "kwargs") macro_->uses_kwargs = true;
        if (macro_ && token.text == "caller") macro_->uses_caller = true;
      }
      return expr;
    case TokenKind::kString: {
      std::string text = token.text;
      while (now().kind == TokenKind::kString) text += take().text;
      expr->constant = Value::string(std::move(text), true);
      return expr;
    }
    case TokenKind::kInteger:
      expr->constant = integer_constant(token.text);
      return expr;
    case TokenKind::kFloat:
      expr->constant = float_constant(token.text);
      return expr;
    case TokenKind::kOperator:
      if (token.text == "(") return parenthesized();
      if (token.text == "[") return list();
      if (token.text == "{") return dict();
      [[fallthrough]];
    default:
      refuse(token.text.empty() ? "an expression is missing" : "unexpected '" + token.text + "'");
  }
}

ExprPtr Parser::parenthesized() {
  if (take_operator(")")) return make(ExprKind::kTuple);
  ExprPtr inside = tuple();
  expect_operator(")");
  return inside;
}

ExprPtr Parser::list() {
  auto all = make(ExprKind::kList);
  while (!take_operator("]")) {
    if (!all->children.empty()) {
      expect_operator(",");
      if (take_operator("]")) break;
    }
    adopt(*all, expression());
  }
  return all;
}

ExprPtr Parser::dict() {
  auto all = make(ExprKind::kDict);
  while (!take_operator("}")) {
    if (!all->children.empty()) {
      expect_operator(",");
      if (take_operator("}")) break;
    }
    adopt(*all, expression());
    expect_operator(":");
    adopt(*all, expression());
  }
  return all;
}

ExprPtr Parser::postfix(ExprPtr left) {
  while (true) {
    if (now().is_operator(".") || now().is_operator("[")) {
      left = subscript(std::move(left));
    } else if (now().is_operator("(")) {
      left = call(std::move(left));
    } else {
      return left;
    }
  }
}

ExprPtr Parser::filters_and_tests(ExprPtr left) {
  while (true) {
    if (now().is_operator("|")) {
      left = filters(std::move(left));
    } else if (take_name("is")) {
      left = test(std::move(left));
    } else if (now().is_operator("(")) {
      left = call(std::move(left));
    } else {
      return left;
    }
  }
}

ExprPtr Parser::filters(ExprPtr input) {
  while (take_operator("|")) input = filter(std::move(input));
  return input;
}

ExprPtr Parser::filter(ExprPtr input) {
  auto expr = make(ExprKind::kFilter, std::move(input));
  expr->name = expect_name();
  if (now().is_operator("(")) arguments(*expr);
  return expr;
}

ExprPtr Parser::test(ExprPtr input) {
  const bool negated = take_name("not");
  auto expr = make(ExprKind::kTest, std::move(input));
  expr->name = expect_name();
  const Token& next = now();
  const bool has_operand = next.kind == TokenKind::kName || next.kind == TokenKind::kString ||
                           next.kind == TokenKind::kInteger || next.kind == TokenKind::kFloat ||
                           next.is_operator("[") || next.is_operator("{");
  if (next.is_operator("(")) {
    arguments(*expr);
  } else if (next.is_name("is")) {
    refuse("tests cannot be chained with 'is'");
  } else if (has_operand && !next.is_name("else") && !next.is_name("or") && !next.is_name("and")) {
    const Nested nested(*this);
    adopt(*expr, postfix(primary()));
  }
  return negated ? make(ExprKind::kNot, std::move(expr)) : std::move(expr);
}

ExprPtr Parser::call(ExprPtr callee) {
  auto expr = make(ExprKind::kCall, std::move(callee));
  arguments(*expr);
  return expr;
}

ExprPtr Parser::subscript(ExprPtr left) {
  if (take_operator(".")) {
    if (now().kind == TokenKind::kInteger) {
      auto expr = make(ExprKind::kItem, std::move(left));
      auto index = make(ExprKind::kConstant);
      index->constant = integer_constant(take().text);
      adopt(*expr, std::move(index));
      return expr;
    }
    auto expr = make(ExprKind::kAttribute, std::move(left));
    expr->name = expect_name();
    return expr;
  }
  auto expr = make(ExprKind::kItem, std::move(left));
  expect_operator("[");
  adopt(*expr, subscript_key());
  expect_operator("]");
  return expr;
}

ExprPtr Parser::subscript_key() {
  const auto part = [&]() -> ExprPtr {
    return now().is_operator(":") || now().is_operator("]") ? nullptr : expression();
  };
  ExprPtr begin = part();
  if (!now().is_operator(":")) {
    if (!begin) refuse("a subscript is missing");
    return begin;
  }
  auto slice = make(ExprKind::kSlice, std::move(begin));
  expect_operator(":");
  adopt(*slice, part());
  adopt(*slice, take_operator(":") ? part() : nullptr);
  return slice;
}

void Parser::arguments(Expr& into) {
  expect_operator("(");
  const auto count = [&into](const ExprPtr& child) { into.depth = std::max(into.depth, child->depth + 1); };
  bool first = true;
  while (!take_operator(")")) {
    if (!std::exchange(first, false)) {
      expect_operator(",");
      if (take_operator(")")) break;
    }
    if (take_operator("**")) {
      count(into.double_star = expression());
    } else if (take_operator("*")) {
      count(into.star = expression());
    } else if (now().kind == TokenKind::kName && ahead(1).is_operator("=")) {
      const std::string name = expect_name();
      expect_operator("=");
      into.named.emplace_back(name, expression());
      count(into.named.back().second);
    } else {
      if (!into.named.empty() || into.star || into.double_star) refuse("a positional argument follows a named one");
      adopt(into, expression());
    }
  }
}

}  // namespace tern::jinja
