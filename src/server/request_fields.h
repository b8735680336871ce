// The one table of request fields: it validates, fills in, documents (docs/api.md, `tern serve --help-fields`) and
// describes (/openapi.json) every field of every route. Constant data and pure functions; any thread.
//
// A field's value outside its row's type or range is refused with a 400 that names it; null counts as absent; fields
// that the table does not know are ignored and reported once.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

namespace tern {

struct OpenAiRequest;
struct ApiFacts;

enum class FieldType : uint8_t { kBoolean, kInteger, kNumber, kString, kList, kObject, kSeveral };

// The routes that take a field; a set.
enum Endpoints : uint8_t { kNoBody = 0, kChat = 1, kCompletions = 2, kBoth = 3, kTokenize = 4, kDetokenize = 8 };

inline constexpr std::string_view kRequired = "required";  // as a fallback: there is none

struct RequestField {
  std::string_view name;
  FieldType type;
  uint8_t endpoints;
  double min, max;  // of a number; of a string's characters, a list's elements, an object's entries
  std::string_view fallback;
  std::string_view meaning;
  void (*set)(const nlohmann::json& value, OpenAiRequest& request);
  nlohmann::json (*schema)(const ApiFacts& facts) = nullptr;  // where type and range do not say all
};

// In the order in which they are read: tools before tool_choice, n before best_of.
std::span<const RequestField> request_fields();

}  // namespace tern
