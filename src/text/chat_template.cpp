#include "text/chat_template.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

// What every template sees; a request cannot replace it.
constexpr std::array<std::string_view, 14> kReserved{
    "messages", "tools",  "documents", "add_generation_prompt", "bos_token",    "eos_token", "range",
    "dict",     "lipsum", "namespace", "raise_exception",       "strftime_now", "cycler",    "joiner"};

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string bos, std::string eos)
    : source_(source.empty() ? std::string(kChatMl) : std::move(source)),
      bos_(std::move(bos)),
      eos_(std::move(eos)),
      is_default_(source_ == kChatMl),
      template_(source_) {}

MarkedText ChatTemplate::render(const ChatInputs& inputs) const {
  if (!inputs.messages.is_list()) bad_input("[template] messages are not a list");
  if (inputs.messages.list().items.size() > Limits::kMessages) {
    bad_input("[template] " + std::to_string(inputs.messages.list().items.size()) + " messages, more than " +
              std::to_string(Limits::kMessages));
  }
  jinja::Template::Variables variables;
  for (const auto& [name, value] : inputs.kwargs) {
    if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end()) {
      bad_input("[template] chat_template_kwargs cannot set \"" + printable(name) + "\"");
    }
    variables.emplace_back(name, value);
  }
  variables.emplace_back("messages", inputs.messages);
  variables.emplace_back("tools", inputs.tools);
  variables.emplace_back("documents", inputs.documents);
  variables.emplace_back("add_generation_prompt", jinja::Value::boolean(inputs.add_generation_prompt));
  if (!bos_.empty()) variables.emplace_back("bos_token", jinja::Value::string(bos_, true));
  if (!eos_.empty()) variables.emplace_back("eos_token", jinja::Value::string(eos_, true));
  return template_.render(std::move(variables), inputs.now);
}

}  // namespace tern
