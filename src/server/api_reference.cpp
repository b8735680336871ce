#include "server/api_reference.h"

#include <fmt/core.h>

#include <array>

#include "core/limits.h"
#include "server/api_error.h"
#include "server/json_body.h"
#include "server/router.h"

namespace tern {
namespace {

std::string range(const RequestField& field) {
  const std::string span = fmt::format("{} to {}", bound_text(field.min), bound_text(field.max));
  switch (field.type) {
    case FieldType::kBoolean:
      return "boolean";
    case FieldType::kInteger:
      return "integer, " + span;
    case FieldType::kNumber:
      return "number, " + span;
    case FieldType::kString:
      return "string, " + span + " characters";
    case FieldType::kList:
      return "list, " + span + " elements";
    case FieldType::kObject:
      return "object, " + span + " entries";
    case FieldType::kSeveral:
      return "see there";
  }
  return "";
}

std::string routes_part() {
  std::string out = "## Routes\n\n| | | |\n|---|---|---|\n";
  for (const Route& route : routes()) {
    out += fmt::format("| {} | `{}` | {}{} |\n", route.method, route.path, route.meaning,
                       route.open ? "; needs no key" : "");
  }
  return out;
}

std::string fields_part() {
  constexpr std::array kSections{std::pair{kChat, "/v1/chat/completions"}, std::pair{kCompletions, "/v1/completions"},
                                 std::pair{kTokenize, "/tokenize"}, std::pair{kDetokenize, "/detokenize"}};
  std::string out = "## Request fields\n";
  for (const auto& [endpoint, path] : kSections) {
    out += fmt::format("\n### {}\n\n| field | type and range | default | |\n|---|---|---|---|\n", path);
    for (const RequestField& field : request_fields()) {
      if ((field.endpoints & endpoint) == 0) continue;
      out += fmt::format("| `{}` | {} | {} | {} |\n", field.name, range(field), field.fallback, field.meaning);
    }
  }
  return out;
}

std::string errors_part() {
  std::string out = "## Errors\n\n| status | code | when |\n|---|---|---|\n";
  for (const ErrorCodeRow& row : error_codes())
    out += fmt::format("| {} | `{}` | {} |\n", row.status, row.code, row.when);
  return out;
}

std::string limits_part() {
  std::string out = "## Limits\n\n| limit | value | of | beyond it |\n|---|---|---|---|\n";
  for (const LimitRow& row : limits()) {
    out += fmt::format("| {} | {} {} | {} | {} |\n", row.name, row.value, row.unit, row.meaning, row.refusal);
  }
  return out;
}

}  // namespace

std::string api_reference() {
  return routes_part() + "\n" + fields_part() + "\n" + errors_part() + "\n" + limits_part();
}

}  // namespace tern
