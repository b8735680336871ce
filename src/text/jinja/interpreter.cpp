#include "text/jinja/interpreter.h"

#include <utility>

#include "core/error.h"
#include "text/jinja/objects.h"
#include "text/jinja/print.h"

namespace tern::jinja {

Interpreter::Interpreter(const Body& body, Variables variables, std::optional<std::tm> now)
    : body_(body), now_(now), scope_(std::make_shared<Scope>()) {
  scope_->variables = global_functions();
  push_scope();
  scope_->variables = std::move(variables);
  push_scope();
}

Interpreter::~Interpreter() {
  for (const auto& object : namespaces_) object->clear();
  for (const auto& object : sequences_) object->clear();
  for (const auto& scope : kept_scopes_) scope->variables.clear();
}

MarkedText Interpreter::run() {
  MarkedText result;
  out_ = &result;
  try {
    execute(body_);
  } catch (const Failure& failure) {
    bad_input("[template] line " + std::to_string(line_) + ": " + printable(failure.message, 400));
  }
  return result;
}

std::tm Interpreter::local_time() const {
  if (now_) return *now_;
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

void Interpreter::output(const MarkedText& text) {
  budget_.spend_bytes(text.size());
  if (out_->size() + text.size() > Limits::kTemplateOutputBytes) {
    raise("more than " + std::to_string(Limits::kTemplateOutputBytes) + " bytes of output");
  }
  out_->append(text);
}

MarkedText Interpreter::text_of(const Value& value) {
  if (value.is_string()) budget_.spend_bytes(value.text().size());
  return print_text(budget_, value);
}

void Interpreter::push_scope() {
  auto inner = std::make_shared<Scope>();
  inner->parent = scope_;
  scope_ = std::move(inner);
}

const Value* Interpreter::find_variable(std::string_view name) {
  for (const Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    budget_.spend(scope->variables.size() / 16);
    for (const auto& [known, value] : scope->variables) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

void Interpreter::set_variable(const std::string& name, Value value) {
  budget_.spend(scope_->variables.size() / 16);
  for (auto& [known, old] : scope_->variables) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  scope_->variables.emplace_back(name, std::move(value));
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    const auto items = elements(budget_, value);
    if (items->items.size() != target.parts.size()) {
      raise("cannot unpack " + std::to_string(items->items.size()) + " values into " +
            std::to_string(target.parts.size()) + " names");
    }
    for (size_t i = 0; i < target.parts.size(); ++i) assign(target.parts[i], items->items[i]);
  } else if (target.attribute.empty()) {
    set_variable(target.name, value);
  } else {
    const Value* variable = find_variable(target.name);
    auto* space = variable && variable->is_object() ? dynamic_cast<Namespace*>(variable->object().get()) : nullptr;
    if (!space) raise("cannot assign attribute on non-namespace object '" + target.name + "'");
    space->set(target.attribute, value);
  }
}

MarkedText Interpreter::capture(const Body& body) {
  MarkedText result;
  MarkedText* const outer = std::exchange(out_, &result);
  push_scope();
  execute(body);
  pop_scope();
  out_ = outer;
  return result;
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const auto& node : body) {
    line_ = node->line;
    const Flow flow = execute(*node);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute(const Node& node) {
  const Deeper deeper(*this);
  switch (node.kind) {
    case NodeKind::kData:
      output(node.data);
      break;
    case NodeKind::kOutput:
      output(text_of(evaluate(*node.exprs[0])));
      break;
    case NodeKind::kIf:
      return execute_if(node);
    case NodeKind::kFor:
      return run_loop(node, evaluate(*node.exprs[0]), 0);
    case NodeKind::kSet:
      assign(node.targets[0], evaluate(*node.exprs[0]));
      break;
    case NodeKind::kSetBlock:
      assign_block(node);
      break;
    case NodeKind::kMacro:
      define_macro(node);
      break;
    case NodeKind::kCallBlock:
      call_block(node);
      break;
    case NodeKind::kFilterBlock:
      run_filter(node);
      break;
    case NodeKind::kWith:
      return run_with(node);
    case NodeKind::kScope:
      output(capture(node.bodies[0]));
      break;
    case NodeKind::kBreak:
      return Flow::kBreak;
    case NodeKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute_if(const Node& node) {
  for (size_t i = 0; i < node.exprs.size(); ++i) {
    if (evaluate(*node.exprs[i]).truthy()) return execute(node.bodies[i]);
  }
  return node.bodies.size() > node.exprs.size() ? execute(node.bodies.back()) : Flow::kNext;
}

Interpreter::Flow Interpreter::run_loop(const Node& node, const Value& iterable, int64_t depth) {
  auto items = elements(budget_, iterable);
  if (const Expr* filter = node.exprs[1].get()) {
    std::vector<Value> kept;
    for (const auto& item : items->items) {
      push_scope();
      assign(node.targets[0], item);
      if (evaluate(*filter).truthy()) kept.push_back(item);
      pop_scope();
    }
    items = Value::list(std::move(kept)).list_ptr();
  }
  Flow flow = Flow::kNext;
  if (items->items.empty()) {
    push_scope();
    flow = execute(node.bodies[1]);
    pop_scope();
    return flow;
  }
  const auto loop = std::make_shared<Loop>(node, scope_, items, depth);
  const struct AtEnd {  // also when the body raises
    Loop& loop;
    ~AtEnd() { loop.end(); }
  } at_end{*loop};
  for (size_t i = 0; i < items->items.size() && flow != Flow::kBreak; ++i) {
    budget_.spend(1);
    loop->move_to(i);
    push_scope();
    scope_->variables.emplace_back("loop", Value::object(loop));
    assign(node.targets[0], items->items[i]);
    flow = execute(node.bodies[0]);
    pop_scope();
  }
  return Flow::kNext;
}

Value Interpreter::call_loop(const Node& loop, const std::shared_ptr<Scope>& scope, const Value& iterable,
                             int64_t depth) {
  if (!scope) raise("loop() outside its loop");
  const Deeper deeper(*this);
  MarkedText result;
  MarkedText* const outer = std::exchange(out_, &result);
  const auto caller = std::exchange(scope_, scope);
  run_loop(loop, iterable, depth);
  scope_ = caller;
  out_ = outer;
  return Value::string(std::move(result));
}

Interpreter::Flow Interpreter::run_with(const Node& node) {
  std::vector<Value> values;  // all in the scope outside
  for (const auto& expr : node.exprs) values.push_back(evaluate(*expr));
  push_scope();
  for (size_t i = 0; i < values.size(); ++i) assign(node.targets[i], values[i]);
  const Flow flow = execute(node.bodies[0]);
  pop_scope();
  return flow;
}

void Interpreter::run_filter(const Node& node) {
  Value text = Value::string(capture(node.bodies[0]));
  const Value outer = std::exchange(captured_, std::move(text));
  output(text_of(evaluate(*node.exprs[0])));
  captured_ = outer;
}

void Interpreter::assign_block(const Node& node) {
  Value text = Value::string(capture(node.bodies[0]));
  const Value outer = std::exchange(captured_, std::move(text));
  assign(node.targets[0], evaluate(*node.exprs[0]));
  captured_ = outer;
}

void Interpreter::define_macro(const Node& node) {
  kept_scopes_.push_back(scope_);
  set_variable(node.macro.name, Value::object(std::make_shared<Macro>(node.macro, scope_)));
}

void Interpreter::call_block(const Node& node) {
  kept_scopes_.push_back(scope_);
  output(text_of(evaluate_call(*node.exprs[0], Value::object(std::make_shared<Macro>(node.macro, scope_)))));
}

Value Interpreter::call_macro(const MacroDef& macro, const std::shared_ptr<Scope>& scope, Arguments arguments) {
  const Deeper deeper(*this);
  auto inner = std::make_shared<Scope>();
  inner->parent = scope;
  const auto caller_scope = std::exchange(scope_, inner);
  MarkedText result;
  MarkedText* const outer = std::exchange(out_, &result);
  const auto take_named = [&](std::string_view name) -> std::optional<Value> {
    for (auto it = arguments.named.begin(); it != arguments.named.end(); ++it) {
      if (it->first != name) continue;
      Value value = std::move(it->second);
      arguments.named.erase(it);
      return value;
    }
    return std::nullopt;
  };
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    auto named = take_named(parameter.name);
    const bool positional = i < arguments.positional.size();
    if (named && positional) raise("macro '" + macro.name + "' got '" + parameter.name + "' twice");
    Value value = positional           ? arguments.positional[i]
                  : named              ? *named
                  : parameter.fallback ? evaluate(*parameter.fallback)
                                       : Value::undefined("parameter '" + parameter.name + "' was not provided");
    set_variable(parameter.name, std::move(value));
  }
  if (auto caller = take_named("caller")) {
    if (!macro.uses_caller) raise("macro '" + macro.name + "' takes no caller");
    set_variable("caller", std::move(*caller));
  } else if (macro.uses_caller) {
    set_variable("caller", Value::undefined("No caller defined"));
  }
  const size_t used = std::min(arguments.positional.size(), macro.parameters.size());
  std::vector<Value> rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(used), arguments.positional.end());
  if (!rest.empty() && !macro.uses_varargs) {
    raise("macro '" + macro.name + "' takes " + std::to_string(macro.parameters.size()) + " arguments, not " +
          std::to_string(arguments.positional.size()));
  }
  if (macro.uses_varargs) set_variable("varargs", Value::list(std::move(rest), List::Kind::kTuple));
  if (!arguments.named.empty() && !macro.uses_kwargs) {
    raise("macro '" + macro.name + "' has no argument '" + arguments.named[0].first + "'");
  }
  if (macro.uses_kwargs) {
    Dict named;
    for (auto& [name, value] : arguments.named) named.set(Value::string(name, true), std::move(value));
    set_variable("kwargs", Value::dict(std::move(named)));
  }
  execute(macro.body);
  scope_ = caller_scope;
  out_ = outer;
  return Value::string(std::move(result));
}

}  // namespace tern::jinja
