// The values of a chat template: what Python's None, bool, int, float, str, list, tuple, dict and Jinja's undefined are
// there.
//
// Sealed: there is nothing else a template can reach, so there is nothing to escape to. Values are immutable once built
// (namespaces apart) and shared by reference; strings carry for each byte whether it is trusted (marked_text.h).
// Invariant: lists and dictionaries nest at most Limits::kJsonDepth deep, so that walking or freeing one never recurses
// far. Values that one thread renders with may be shared with others as long as nobody changes them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/budget.h"
#include "text/marked_text.h"

namespace tern::jinja {

class Value;
class Interpreter;

// What the parentheses of a call hold.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Functions, macros, bound methods, namespaces, `loop`: things with behaviour. Made by the interpreter only.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const = 0;
  virtual std::optional<Value> attribute(Interpreter&, std::string_view name);
  virtual bool callable() const { return true; }
  virtual Value call(Interpreter& interpreter, Arguments arguments);
  uint32_t depth = 0;  // of the value that it holds for good, see Value::depth()
};

struct List {
  enum class Kind : uint8_t {
    kList,
    kTuple,
    kGenerator,  // the result of map, select and the like: always true, has no length, gives its elements once
    kView,       // of dict.keys(), values(), items()
  };
  Kind kind = Kind::kList;
  std::vector<Value> items;
  uint32_t depth = 1;
};

class Dict {
 public:
  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const { return entries_; }
  const Value* find(const Value& key) const;  // raises when the key is of a kind that cannot be one
  const Value* find(std::string_view key) const;
  void set(Value key, Value value);  // the last one counts, at the place of the first
  uint32_t depth() const { return depth_; }

 private:
  const Entry* find_text(const std::string& canonical) const;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;  // by canonical key
  uint32_t depth_ = 1;
};

class Value {
 public:
  struct Undefined {
    std::shared_ptr<const std::string> why;  // e.g. "'x' is undefined"; may be null
  };
  struct None {};
  using StringPtr = std::shared_ptr<const MarkedText>;
  using ListPtr = std::shared_ptr<List>;
  using DictPtr = std::shared_ptr<const Dict>;
  using ObjectPtr = std::shared_ptr<Object>;

  Value() = default;  // undefined
  static Value undefined(std::string why) {
    return Value(Undefined{std::make_shared<const std::string>(std::move(why))});
  }
  static Value none() { return Value(None{}); }
  static Value boolean(bool value) { return Value(value); }
  static Value integer(int64_t value) { return Value(value); }
  static Value number(double value) { return Value(value); }
  static Value string(MarkedText text) { return Value(std::make_shared<const MarkedText>(std::move(text))); }
  static Value string(std::string text, bool trusted) { return string(MarkedText(std::move(text), trusted)); }
  // Raises when the nesting goes beyond Limits::kJsonDepth.
  static Value list(std::vector<Value> items, List::Kind kind = List::Kind::kList);
  static Value dict(Dict dict);
  static Value object(ObjectPtr object) { return Value(std::move(object)); }

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_boolean() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_boolean() || is_integer() || is_float(); }  // as in Python, a bool is one
  bool is_whole() const { return is_boolean() || is_integer(); }
  bool is_string() const { return std::holds_alternative<StringPtr>(data_); }
  bool is_list() const { return std::holds_alternative<ListPtr>(data_); }
  bool is_dict() const { return std::holds_alternative<DictPtr>(data_); }
  bool is_object() const { return std::holds_alternative<ObjectPtr>(data_); }

  // Only for a value of that kind.
  int64_t whole() const { return is_boolean() ? std::get<bool>(data_) : std::get<int64_t>(data_); }
  double real() const { return is_float() ? std::get<double>(data_) : static_cast<double>(whole()); }
  bool truth_of_boolean() const { return std::get<bool>(data_); }
  const MarkedText& text() const { return *std::get<StringPtr>(data_); }
  List& list() const { return *std::get<ListPtr>(data_); }
  const ListPtr& list_ptr() const { return std::get<ListPtr>(data_); }
  const Dict& dict() const { return *std::get<DictPtr>(data_); }
  const ObjectPtr& object() const { return std::get<ObjectPtr>(data_); }

  uint32_t depth() const;
  bool truthy() const;
  bool same_as(const Value& other) const;  // Python's `is`
  std::string_view type_name() const;      // Python's name of the type
  // Raises that this undefined value was used.
  [[noreturn]] void raise_undefined() const;

 private:
  using Data = std::variant<Undefined, None, bool, int64_t, double, StringPtr, ListPtr, DictPtr, ObjectPtr>;
  explicit Value(Data data) : data_(std::move(data)) {}
  Data data_;
};

// The elements that a loop over `value` sees: of a string its characters, of a dictionary its keys; a generator is
// emptied. Raises when it cannot be iterated over.
Value::ListPtr elements(Budget& budget, const Value& value);

bool equal(Budget& budget, const Value& a, const Value& b);
// Negative, zero, positive; raises when the two have no order.
int compare(Budget& budget, const Value& a, const Value& b);
bool contains(Budget& budget, const Value& container, const Value& item);

}  // namespace tern::jinja
