// Runs a compiled template once. One object for each rendering, used by one thread; the tree it walks is shared and
// constant.
//
// Bounds: steps and bytes (budget.h), evaluation depth (Limits::kTemplateEvalDepth), output bytes. Everything that can
// refer to itself (namespaces, the scopes that macros keep) is registered and emptied at the end, so nothing leaks and
// nothing is freed recursively. Every error is a Failure; run() turns it into a tern::Error that names the line.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"

namespace tern::jinja {

struct Scope {
  std::vector<std::pair<std::string, Value>> variables;
  std::shared_ptr<Scope> parent;  // null: the outermost
};

class Interpreter {
 public:
  using Variables = std::vector<std::pair<std::string, Value>>;
  // `now` is the local time for strftime_now; the clock's when absent.
  Interpreter(const Body& body, Variables variables, std::optional<std::tm> now);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  MarkedText run();

  Budget& budget() { return budget_; }
  std::tm local_time() const;
  Value attribute(const Value& object, std::string_view name);  // object.name
  Value item(const Value& object, const Value& key);            // object[key]
  Value item(const Value& object, std::string_view path,
             const Value& fallback);  // "a.b.0", as map(attribute=) takes it
  Value call(const Value& callee, Arguments arguments);
  Value call_macro(const MacroDef& macro, const std::shared_ptr<Scope>& scope, Arguments arguments);
  // Runs a recursive loop again on other elements: what `loop(...)` does.
  Value call_loop(const Node& loop, const std::shared_ptr<Scope>& scope, const Value& iterable, int64_t depth);
  // Keeps the object until the end of the rendering.
  void keep(std::shared_ptr<class Namespace> object) { namespaces_.push_back(std::move(object)); }
  void keep(std::shared_ptr<class Sequence> object) { sequences_.push_back(std::move(object)); }
  MarkedText text_of(const Value& value);  // str(value)

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  class Deeper;

  // Statements: interpreter.cpp.
  Flow execute(const Body& body);
  Flow execute(const Node& node);
  Flow execute_if(const Node& node);
  Flow run_loop(const Node& node, const Value& iterable, int64_t depth);
  Flow run_with(const Node& node);
  void run_filter(const Node& node);
  void assign(const Target& target, const Value& value);
  void assign_block(const Node& node);
  void define_macro(const Node& node);
  void call_block(const Node& node);
  MarkedText capture(const Body& body);  // renders in a scope of its own
  void output(const MarkedText& text);
  void push_scope();
  void pop_scope() { scope_ = scope_->parent; }
  const Value* find_variable(std::string_view name);
  void set_variable(const std::string& name, Value value);

  // Expressions: evaluate.cpp.
  Value evaluate(const Expr& expr);
  Value evaluate_name(const Expr& expr);
  Value evaluate_list(const Expr& expr);
  Value evaluate_dict(const Expr& expr);
  Value evaluate_item(const Expr& expr);
  Value evaluate_call(const Expr& expr, std::optional<Value> caller);
  Value evaluate_filter(const Expr& expr);
  Value evaluate_test(const Expr& expr);
  Value evaluate_arithmetic(const Expr& expr);
  Value evaluate_concat(const Expr& expr);
  Value evaluate_compare(const Expr& expr);
  Value evaluate_logic(const Expr& expr);
  Value evaluate_condition(const Expr& expr);
  Arguments evaluate_arguments(const Expr& expr);

  const Body& body_;
  std::optional<std::tm> now_;
  Budget budget_;
  int32_t line_ = 1;
  uint32_t depth_ = 0;
  std::shared_ptr<Scope> scope_;
  MarkedText* out_ = nullptr;
  Value captured_;
  std::vector<std::shared_ptr<class Namespace>> namespaces_;
  std::vector<std::shared_ptr<class Sequence>> sequences_;
  std::vector<std::shared_ptr<Scope>> kept_scopes_;
};

// The bound on how deep evaluation may nest, and with it on the machine's stack.
class Interpreter::Deeper {
 public:
  explicit Deeper(Interpreter& interpreter) : interpreter_(interpreter) {
    interpreter_.budget_.spend(1);
    if (interpreter_.depth_ >= Limits::kTemplateEvalDepth) {
      raise("evaluation nested more than " + std::to_string(Limits::kTemplateEvalDepth) + " levels deep");
    }
    ++interpreter_.depth_;
  }
  ~Deeper() { --interpreter_.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  Interpreter& interpreter_;
};

}  // namespace tern::jinja
