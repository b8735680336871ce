// A JSON document as a tree, for files whose shape varies (tokenizer.json and its companions), and a cursor that knows
// where in the document it stands, so that what it refuses is named: "pre_tokenizer.pretokenizers[1].pattern".
//
// Depth is bounded by Limits::kJsonDepth, the number of values by Limits::kTokenizerValues; of equal keys the last
// counts. A tree is a plain value; a node refers to its tree. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/json_events.h"

namespace tern {

struct JsonValue {
  struct Array {
    std::vector<JsonValue> items;
  };
  struct Object {
    std::vector<std::string> keys;
    std::vector<JsonValue> items;  // as long as keys
  };
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value;
};

class JsonNode {
 public:
  // `source` ("[tokenizer] path") and the tree outlive the node.
  JsonNode(const JsonValue& value, const std::string& source) : JsonNode(value, source, "") {}

  bool is_string() const { return std::holds_alternative<std::string>(value_->value); }
  bool is_object() const { return std::holds_alternative<JsonValue::Object>(value_->value); }
  bool is_array() const { return std::holds_alternative<JsonValue::Array>(value_->value); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_->value); }

  // Each refuses a value of another kind.
  const std::string& string() const;
  bool boolean() const;
  int64_t integer(int64_t min, int64_t max) const;
  double number() const;
  std::vector<JsonNode> items() const;                       // of an array
  std::vector<std::string> keys() const;                     // of an object
  std::optional<JsonNode> find(std::string_view key) const;  // of an object; null is as good as absent
  JsonNode at(std::string_view key) const;                   // as find, required
  // Of the member `key`, or the fallback where it is absent.
  std::string string_or(std::string_view key, std::string_view fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;

  const std::string& source() const { return *source_; }
  std::string where() const;  // source and path, for messages
  [[noreturn]] void refuse(std::string_view reason) const;

 private:
  JsonNode(const JsonValue& value, const std::string& source, std::string path)
      : value_(&value), source_(&source), path_(std::move(path)) {}
  template <typename T>
  const T& as(std::string_view wanted) const;

  const JsonValue* value_;
  const std::string* source_;
  std::string path_;
};

// Builds a tree from events.
class JsonTreeBuilder : public JsonVisitor {
 public:
  explicit JsonTreeBuilder(const std::string& source) : source_(source) {}
  JsonValue take() { return std::move(root_); }

  void null() override { add({}); }
  void boolean(bool value) override { add({value}); }
  void integer(int64_t value) override { add({value}); }
  void number(double value) override { add({value}); }
  void string(std::string_view value) override { add({std::string(value)}); }
  void begin_object() override { begin({JsonValue::Object{}}); }
  void key(std::string_view value) override;
  void end_object() override { end(); }
  void begin_array() override { begin({JsonValue::Array{}}); }
  void end_array() override { end(); }

 private:
  void add(JsonValue value);
  void begin(JsonValue value);
  void end();

  const std::string& source_;
  JsonValue root_;
  std::vector<JsonValue> open_;  // the containers around the next value
  uint64_t values_ = 0;
};

JsonValue parse_json_tree(std::span<const std::byte> text, const std::string& source);

}  // namespace tern
