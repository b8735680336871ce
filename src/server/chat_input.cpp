#include "server/chat_input.h"

#include <algorithm>
#include <array>

#include "server/api_error.h"
#include "server/openai_request.h"

namespace tern {
namespace {

using jinja::Dict;
using jinja::Value;

constexpr std::array<std::string_view, 6> kRoles{"system", "developer", "user", "assistant", "tool", "function"};

bool is_text(const Value* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->text().text == text;
}

Value untrusted(std::string text) { return Value::string(std::move(text), false); }

Value role_of(const Dict& message, const std::string& where) {
  const Value* role = message.find("role");
  if (role == nullptr || !role->is_string()) refuse(where + ".role", "'" + where + ".role' is missing or not a string");
  const std::string& name = role->text().text;
  if (std::find(kRoles.begin(), kRoles.end(), name) == kRoles.end()) {
    refuse(where + ".role",
           "'" + where + ".role' must be system, developer, user, assistant or tool, not \"" + printable(name) + "\"");
  }
  return name == "developer" ? untrusted("system") : *role;
}

// Text parts, one a line, as other servers join them for templates that take strings.
Value joined_parts(const Value& parts, const std::string& where) {
  std::string text;
  for (const Value& part : parts.list().items) {
    const Value* content =
        part.is_dict() && is_text(part.dict().find("type"), "text") ? part.dict().find("text") : nullptr;
    if (content == nullptr || !content->is_string()) {
      refuse(where,
             "'" + where + "' has a part that is not {\"type\": \"text\", \"text\": ...}: the model reads text only");
    }
    if (!text.empty()) text += '\n';
    text += content->text().text;
  }
  return untrusted(std::move(text));
}

Value content_of(const Dict& message, const std::string& where) {
  const Value* content = message.find("content");
  const Value* calls = message.find("tool_calls");
  if (content == nullptr || content->is_none()) {
    if (!is_text(message.find("role"), "assistant")) refuse(where, "'" + where + "' is missing", "missing_field");
    return calls != nullptr && calls->is_list() ? Value::none() : untrusted("");
  }
  if (content->is_list()) return joined_parts(*content, where);
  if (!content->is_string()) refuse(where, "'" + where + "' must be a string or a list of text parts", "invalid_type");
  return *content;
}

Value with_entry(const Dict& dict, std::string_view key, Value value) {
  Dict copy = dict;
  copy.set(untrusted(std::string(key)), std::move(value));
  return Value::dict(std::move(copy));
}

// {"function": {"arguments": "{...}"}} -> {"function": {"arguments": {...}}}; anything else stays as it is.
Value with_parsed_arguments(const Value& call) {
  const Value* function = call.is_dict() ? call.dict().find("function") : nullptr;
  const Value* arguments = function != nullptr && function->is_dict() ? function->dict().find("arguments") : nullptr;
  if (arguments == nullptr || !arguments->is_string()) return call;
  try {
    Value parsed = jinja::value_from_json(arguments->text().text);
    return with_entry(call.dict(), "function", with_entry(function->dict(), "arguments", std::move(parsed)));
  } catch (const Error&) {  // not JSON: the template gets the text
    return call;
  }
}

Value message_of(const Value& message, const std::string& where) {
  if (!message.is_dict()) refuse(where, "'" + where + "' must be an object", "invalid_type");
  Dict out = message.dict();
  out.set(untrusted("role"), role_of(message.dict(), where));
  out.set(untrusted("content"), content_of(message.dict(), where + ".content"));
  const Value* calls = message.dict().find("tool_calls");
  if (calls != nullptr && !calls->is_none() && is_text(message.dict().find("role"), "assistant")) {
    const std::string place = where + ".tool_calls";
    if (!calls->is_list()) refuse(place, "'" + place + "' must be a list", "invalid_type");
    std::vector<Value> parsed;
    for (const Value& call : calls->list().items) {
      if (!call.is_dict()) refuse(place, "'" + place + "' must be a list of objects", "invalid_type");
      parsed.push_back(with_parsed_arguments(call));
    }
    out.set(untrusted("tool_calls"), Value::list(std::move(parsed)));
  }
  return Value::dict(std::move(out));
}

}  // namespace

ChatInputs chat_input(std::string_view body, const OpenAiRequest& request) {
  const Value root = jinja::value_from_json(body);
  std::vector<Value> messages;
  for (const Value& message : root.dict().find("messages")->list().items) {
    messages.push_back(message_of(message, "messages[" + std::to_string(messages.size()) + "]"));
  }
  ChatInputs input;
  input.add_generation_prompt = request.add_generation_prompt;
  input.messages = Value::list(std::move(messages));
  if (request.use_tools) input.tools = *root.dict().find("tools");
  if (request.template_arguments) {
    for (const auto& [name, value] : root.dict().find("chat_template_kwargs")->dict().entries()) {
      input.kwargs.emplace_back(name.text().text, value);
    }
  }
  return input;
}

}  // namespace tern
