#include "server/openapi.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "server/api_error.h"
#include "server/openapi_schemas.h"
#include "server/request_schema.h"
#include "server/router.h"

namespace tern {
namespace {

using nlohmann::json;

json reference(std::string_view name) { return {{"$ref", "#/components/schemas/" + std::string(name)}}; }

// One event of a stream.
json event_schema(const std::string& chunk) {
  const json event = {{"contentMediaType", "application/json"},
                      {"contentSchema", {{"anyOf", {reference(chunk), reference("Error")}}}}};
  return {{"type", "object"},
          {"description",
           "with 'stream': an event's data is a chunk, an Error that ends the answer, or, as the last, "
           "[DONE]; comments (': ...') fill silences"},
          {"properties", {{"data", {{"type", "string"}, {"anyOf", {event, {{"enum", {"[DONE]"}}}}}}}}}};
}

std::map<int, std::string> error_descriptions() {
  std::map<int, std::string> out;
  for (const ErrorCodeRow& row : error_codes()) {
    std::string& text = out[row.status];
    if (!text.empty()) text += "; ";
    text.append(row.code).append(": ").append(row.when);
  }
  return out;
}

// Which of the statuses a route can give.
bool may_answer(const Route& route, int status) {
  if (status == 401) return !route.open;
  if (status == 404) return route.body != kNoBody || route.path.find('{') != std::string_view::npos;
  if (status == 405) return false;  // then it is another route
  return status != 429 || route.body == kChat || route.body == kCompletions;
}

json replies(const Route& route) {
  json good = {{"description", route.meaning}};
  json& content = good["content"];
  if (!route.reply.empty()) content["application/json"]["schema"] = reference(route.reply);
  if (route.reply.empty()) content["text/plain"]["schema"] = {{"type", "string"}};
  if (route.body == kChat || route.body == kCompletions) {
    content["text/event-stream"]["schema"] = event_schema(std::string(route.reply) + "Chunk");
  }
  json out = {{"200", std::move(good)}};
  for (const auto& [status, description] : error_descriptions()) {
    if (!may_answer(route, status)) continue;
    out[std::to_string(status)] = {{"$ref", "#/components/responses/" + std::to_string(status)}};
  }
  return out;
}

// "post_v1_chat_completions"
std::string operation_id(const Route& route) {
  std::string id = std::string(route.method) + std::string(route.path);
  std::erase_if(id, [](char c) { return c == '{' || c == '}'; });
  std::transform(id.begin(), id.end(), id.begin(), [](char c) {
    if (c == '/' || c == '.') return '_';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return id;
}

json operation(const Route& route, const ApiFacts& facts) {
  json out = {{"operationId", operation_id(route)}, {"summary", route.meaning}, {"responses", replies(route)}};
  if (route.open) out["security"] = json::array();
  if (const size_t name = route.path.find('{'); name != std::string_view::npos) {
    out["parameters"] = json::array({{{"name", route.path.substr(name + 1, route.path.size() - name - 2)},
                                      {"in", "path"},
                                      {"required", true},
                                      {"schema", {{"type", "string"}, {"minLength", 1}}}}});
  }
  if (route.body != kNoBody) {
    out["requestBody"] = {{"required", true},
                          {"content", {{"application/json", {{"schema", body_schema(route.body, facts)}}}}}};
  }
  return out;
}

json error_responses() {
  json out = json::object();
  for (const auto& [status, description] : error_descriptions()) {
    json& one = out[std::to_string(status)];
    one = {{"description", description}, {"content", {{"application/json", {{"schema", reference("Error")}}}}}};
    const char* header = status == 429 || status == 503 ? "Retry-After" : status == 405 ? "Allow" : nullptr;
    if (header != nullptr) one["headers"][header] = {{"schema", {{"type", "string"}}}};
  }
  return out;
}

}  // namespace

Outcome openapi_document(const Backend& backend, const HttpRequest&) {
  const Tokenizer* tokenizer = backend.model.tokenizer().get();
  const bool adds = tokenizer != nullptr && (tokenizer->adds_bos() || tokenizer->adds_eos());
  const ApiFacts facts{
      .models = backend.names, .vocabulary = backend.model.config().vocabulary, .least_prompt = adds ? 0 : 1};
  json document = {{"openapi", "3.1.0"},
                   {"info",
                    {{"title", "tern"},
                     {"version", TERN_VERSION},
                     {"description",
                      "OpenAI's API, with vLLM's additions. null counts as absent; fields that are not "
                      "named here are ignored."}}},
                   {"security", json::array({{{"key", json::array()}}})}};
  for (const Route& route : routes()) {
    std::string method(route.method);
    std::transform(method.begin(), method.end(), method.begin(), [](char c) { return static_cast<char>(c | 0x20); });
    document["paths"][std::string(route.path)][method] = operation(route, facts);
  }
  json& components = document["components"];
  components["schemas"] = reply_schemas();
  components["schemas"]["Message"] = message_schema();
  components["responses"] = error_responses();
  components["securitySchemes"]["key"] = {
      {"type", "http"}, {"scheme", "bearer"}, {"description", "asked for when the server was started with --api-key"}};
  return HttpReply{.body = document.dump()};
}

}  // namespace tern
