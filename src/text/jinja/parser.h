// Tokens -> tree. Recursive descent; nesting is limited to Limits::kTemplateDepth, so the stack it takes is bounded.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace tern::jinja {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  // The whole template. Raises Failure with the line in the message.
  Body parse();

 private:
  class Nested;  // counts one level while it lives

  // Tokens.
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead(size_t n) const { return tokens_[std::min(at_ + n, tokens_.size() - 1)]; }
  Token take() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
  bool take_operator(std::string_view text);
  bool take_name(std::string_view text);
  void expect_operator(std::string_view text);
  std::string expect_name();
  void expect(TokenKind kind, std::string_view what);
  [[noreturn]] void refuse(const std::string& reason) const;

  // Statements: parse_statements.cpp. A body ends before the tag whose name is in `ends`, which is left to be taken.
  Body body(std::initializer_list<std::string_view> ends);
  Body body_to(std::string_view end);  // takes the end tag too
  std::unique_ptr<Node> tag();
  std::unique_ptr<Node> if_tag();
  std::unique_ptr<Node> for_tag();
  std::unique_ptr<Node> set_tag();
  std::unique_ptr<Node> macro_tag();
  std::unique_ptr<Node> call_tag();
  std::unique_ptr<Node> filter_tag();
  std::unique_ptr<Node> with_tag();
  std::vector<Parameter> parameters();
  void macro_body(MacroDef& macro, std::string_view end);
  Target target(bool with_namespace);
  Target single_target(bool with_namespace);
  std::unique_ptr<Node> node(NodeKind kind) const;
  void end_tag(std::string_view name);

  // Expressions, from the loosest binding to the tightest: parse_expressions.cpp.
  ExprPtr expression(bool with_condition = true);
  ExprPtr tuple(bool with_condition = true);  // expressions with commas between are a tuple
  ExprPtr or_expression();
  ExprPtr and_expression();
  ExprPtr not_expression();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter = true);
  ExprPtr primary();
  ExprPtr parenthesized();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr left);
  ExprPtr filters_and_tests(ExprPtr left);
  ExprPtr filters(ExprPtr input);  // at least one
  ExprPtr filter(ExprPtr input);
  ExprPtr test(ExprPtr input);
  ExprPtr call(ExprPtr callee);
  ExprPtr subscript(ExprPtr left);
  ExprPtr subscript_key();
  void arguments(Expr& into);
  ExprPtr make(ExprKind kind) const;
  ExprPtr make(ExprKind kind, ExprPtr child) const;
  void adopt(Expr& parent, ExprPtr child) const;  // appends, and keeps the depth in bounds

  std::vector<Token> tokens_;
  size_t at_ = 0;
  uint32_t nesting_ = 0;
  uint32_t loops_ = 0;         // loops around the place that is parsed
  MacroDef* macro_ = nullptr;  // the innermost one
};

class Parser::Nested {
 public:
  explicit Nested(Parser& parser) : parser_(parser) {
    if (++parser_.nesting_ > Limits::kTemplateDepth) {
      parser_.refuse("nested more than " + std::to_string(Limits::kTemplateDepth) + " levels deep");
    }
  }
  ~Nested() { --parser_.nesting_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Parser& parser_;
};

}  // namespace tern::jinja
