// The things with behaviour that a template can hold: functions, bound methods, macros, namespaces, `loop`, cyclers.
// They live as long as the rendering that made them.
#pragma once

#include <functional>

#include "text/jinja/interpreter.h"

namespace tern::jinja {

class Function : public Object {
 public:
  using Body = std::function<Value(Interpreter&, const Arguments&)>;
  explicit Function(Body body) : body_(std::move(body)) {}
  std::string_view type_name() const override { return "function"; }
  Value call(Interpreter& interpreter, Arguments arguments) override { return body_(interpreter, arguments); }

 private:
  Body body_;
};

// "abc".upper before its parentheses.
class BoundMethod : public Object {
 public:
  using Body = Value (*)(Interpreter&, const Value& self, const Arguments&);
  BoundMethod(Value self, Body body) : self_(std::move(self)), body_(body) { depth = self_.depth(); }
  std::string_view type_name() const override { return "method"; }
  Value call(Interpreter& interpreter, Arguments arguments) override { return body_(interpreter, self_, arguments); }

 private:
  Value self_;
  Body body_;
};

class Macro : public Object {
 public:
  Macro(const MacroDef& macro, std::shared_ptr<Scope> scope) : macro_(macro), scope_(std::move(scope)) {}
  std::string_view type_name() const override { return "macro"; }
  std::optional<Value> attribute(Interpreter&, std::string_view name) override {
    if (name == "name") return Value::string(macro_.name, true);
    return std::nullopt;
  }
  Value call(Interpreter& interpreter, Arguments arguments) override {
    return interpreter.call_macro(macro_, scope_, std::move(arguments));
  }

 private:
  const MacroDef& macro_;
  std::shared_ptr<Scope> scope_;
};

// The only values that change. Registered with the interpreter, which empties them at the end.
class Namespace : public Object {
 public:
  std::string_view type_name() const override { return "namespace"; }
  bool callable() const override { return false; }
  std::optional<Value> attribute(Interpreter&, std::string_view name) override {
    const Value* found = values_.find(name);
    return found ? std::optional(*found) : std::nullopt;
  }
  void set(const std::string& name, Value value) { values_.set(Value::string(name, true), std::move(value)); }
  void clear() { values_ = {}; }

 private:
  Dict values_;
};

// cycler(a, b, ...) and joiner(separator): they give one thing after another. Registered as namespaces are.
class Sequence : public Object {
 public:
  enum class Kind : uint8_t { kCycler, kJoiner };
  Sequence(Kind kind, std::vector<Value> items) : kind_(kind), items_(std::move(items)) {}
  std::string_view type_name() const override { return kind_ == Kind::kCycler ? "cycler" : "joiner"; }
  bool callable() const override { return kind_ == Kind::kJoiner; }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  Value call(Interpreter& interpreter, Arguments arguments) override;
  void clear() { items_.clear(); }

 private:
  Kind kind_;
  std::vector<Value> items_;
  size_t next_ = 0;
};

// `loop` inside a for block.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  Loop(const Node& node, std::shared_ptr<Scope> scope, Value::ListPtr items, int64_t level)
      : node_(node), scope_(std::move(scope)), items_(std::move(items)), level_(level) {}
  std::string_view type_name() const override { return "loop"; }
  bool callable() const override { return node_.recursive; }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  Value call(Interpreter& interpreter, Arguments arguments) override;
  void move_to(size_t index) { index_ = index; }
  // After the loop: lets go of what it iterated over.
  void end();

 private:
  const Node& node_;
  std::shared_ptr<Scope> scope_;
  Value::ListPtr items_;
  int64_t level_;
  size_t index_ = 0;
  std::optional<Value> last_seen_;  // of loop.changed
};

// The arguments of a call by the names of its parameters. Raises as Python does when there are too many, one is given
// twice or a name is unknown. `what` is for messages.
class Bound {
 public:
  Bound(const Arguments& arguments, std::string_view what, std::initializer_list<std::string_view> names);
  const Value* get(size_t i) const { return values_[i]; }  // null: not given
  const Value& required(size_t i) const;
  const MarkedText& text(size_t i) const;  // required, a string
  int64_t whole_or(size_t i, int64_t fallback) const;
  bool truth_or(size_t i, bool fallback) const { return values_[i] ? values_[i]->truthy() : fallback; }

 private:
  std::string what_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

Interpreter::Variables global_functions();

// The method of a string, list or dictionary; or null. `hidden` is set when Python has such an attribute, but a sandbox
// must not give it out.
BoundMethod::Body find_method(const Value& self, std::string_view name, bool& hidden);

using Filter = Value (*)(Interpreter&, const Value& input, const Arguments&);
using Test = bool (*)(Interpreter&, const Value& input, const Arguments&);
Filter find_filter(std::string_view name);  // or null
Test find_test(std::string_view name);      // or null
// As find_*, but raises for an unknown name.
Filter filter_named(std::string_view name);
Test test_named(std::string_view name);

}  // namespace tern::jinja
