#include "text/jinja/objects.h"

#include <algorithm>

namespace tern::jinja {

Bound::Bound(const Arguments& arguments, std::string_view what, std::initializer_list<std::string_view> names)
    : what_(what), names_(names), values_(names.size(), nullptr) {
  if (arguments.positional.size() > names.size()) {
    raise(what_ + "() takes at most " + std::to_string(names.size()) + " arguments, not " +
          std::to_string(arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto at = static_cast<size_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
    if (at == names_.size()) raise(what_ + "() has no argument '" + name + "'");
    if (values_[at]) raise(what_ + "() got '" + name + "' twice");
    values_[at] = &value;
  }
}

const Value& Bound::required(size_t i) const {
  if (!values_[i]) raise(what_ + "() needs the argument '" + std::string(names_[i]) + "'");
  return *values_[i];
}

const MarkedText& Bound::text(size_t i) const {
  const Value& value = required(i);
  if (value.is_undefined()) value.raise_undefined();
  if (!value.is_string()) {
    raise(what_ + "(): '" + std::string(names_[i]) + "' must be a string, not " + std::string(value.type_name()));
  }
  return value.text();
}

int64_t Bound::whole_or(size_t i, int64_t fallback) const {
  if (!values_[i]) return fallback;
  if (values_[i]->is_undefined()) values_[i]->raise_undefined();
  if (!values_[i]->is_whole()) {
    raise(what_ + "(): '" + std::string(names_[i]) + "' must be a whole number, not " +
          std::string(values_[i]->type_name()));
  }
  return values_[i]->whole();
}

std::optional<Value> Sequence::attribute(Interpreter&, std::string_view name) {
  if (kind_ != Kind::kCycler) return std::nullopt;
  if (name == "current") return items_.empty() ? Value() : items_[next_];
  const auto method = [this](bool advance) {  // the interpreter keeps this object until the end
    return Value::object(std::make_shared<Function>([this, advance](Interpreter&, const Arguments&) {
      if (items_.empty()) return Value();
      const Value current = items_[next_];
      next_ = advance ? (next_ + 1) % items_.size() : 0;
      return advance ? current : Value::none();
    }));
  };
  if (name == "next") return method(true);
  if (name == "reset") return method(false);
  return std::nullopt;
}

Value Sequence::call(Interpreter&, Arguments) {
  if (kind_ != Kind::kJoiner) raise("'cycler' object is not callable");
  if (next_++ == 0 || items_.empty()) return Value::string("", true);
  return items_[0];
}

std::optional<Value> Loop::attribute(Interpreter& interpreter, std::string_view name) {
  const auto size = items_ ? static_cast<int64_t>(items_->items.size()) : 0;
  const auto index = static_cast<int64_t>(index_);
  if (name == "index") return Value::integer(index + 1);
  if (name == "index0") return Value::integer(index);
  if (name == "first") return Value::boolean(index == 0);
  if (name == "last") return Value::boolean(index + 1 >= size);
  if (name == "length") return Value::integer(size);
  if (name == "revindex") return Value::integer(size - index);
  if (name == "revindex0") return Value::integer(size - index - 1);
  if (name == "depth") return Value::integer(level_ + 1);
  if (name == "depth0") return Value::integer(level_);
  if (name == "previtem")
    return index > 0 && index <= size ? items_->items[index_ - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem")
    return index + 1 < size ? items_->items[index_ + 1] : Value::undefined("there is no next item");
  const auto self = shared_from_this();
  if (name == "cycle") {
    return Value::object(std::make_shared<Function>([index](Interpreter&, const Arguments& arguments) {
      if (arguments.positional.empty()) raise("no items for cycling given");
      return arguments.positional[static_cast<size_t>(index) % arguments.positional.size()];
    }));
  }
  if (name == "changed") {
    auto held = items_;  // a function kept beyond its loop must not reach into it
    return Value::object(std::make_shared<Function>([self, held](Interpreter& in, const Arguments& arguments) {
      if (self->items_ != held || !held) raise("loop.changed() outside its loop");
      const Value now = Value::list(arguments.positional, List::Kind::kTuple);
      const bool same = self->last_seen_ && equal(in.budget(), *self->last_seen_, now);
      if (!same) self->last_seen_ = now;
      return Value::boolean(!same);
    }));
  }
  (void)interpreter;
  return std::nullopt;
}

Value Loop::call(Interpreter& interpreter, Arguments arguments) {
  if (!node_.recursive) raise("a loop without 'recursive' cannot be called");
  const Bound bound(arguments, "loop", {"iterable"});
  return interpreter.call_loop(node_, scope_, bound.required(0), level_ + 1);
}

void Loop::end() {
  items_.reset();
  scope_.reset();
  last_seen_.reset();
}

Filter filter_named(std::string_view name) {
  const Filter found = find_filter(name);
  if (!found) raise("there is no filter '" + std::string(name) + "'");
  return found;
}

Test test_named(std::string_view name) {
  const Test found = find_test(name);
  if (!found) raise("there is no test '" + std::string(name) + "'");
  return found;
}

}  // namespace tern::jinja
