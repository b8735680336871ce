// A conversation -> the prompt that the model was trained on, by the template in the model's file.
//
// Compiled once, shared by all requests, rendered from any thread. What the template itself writes is trusted;
// messages, tools and arguments are not, so no text in them becomes a control token (marked_text.h).
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/json.h"
#include "text/jinja/template.h"
#include "text/jinja/value.h"
#include "text/marked_text.h"

namespace tern {

struct ChatInputs {
  jinja::Value messages;                          // a list of {"role", "content", ...}
  jinja::Value tools = jinja::Value::none();      // a list of tool descriptions, or none
  jinja::Value documents = jinja::Value::none();  // a list, or none
  bool add_generation_prompt = true;
  // Further variables (the request's chat_template_kwargs). A name that the template sees anyway is refused.
  std::vector<std::pair<std::string, jinja::Value>> kwargs;
  std::optional<std::tm> now;  // local time for strftime_now; the clock's when absent
};

class ChatTemplate {
 public:
  // An empty `source` means the file has no template: then the ChatML form of kChatMl. An empty `bos` or `eos` leaves
  // the variable undefined. Throws a bad-input line when the template cannot be compiled.
  ChatTemplate(std::string source, std::string bos, std::string eos);

  // Throws a bad-input line when the template refuses the conversation.
  MarkedText render(const ChatInputs& inputs) const;

  const std::string& source() const { return source_; }
  bool is_default() const { return is_default_; }

  // <|im_start|>role\ncontent<|im_end|>\n for each message, then the beginning of the assistant's.
  static constexpr std::string_view kChatMl =
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
      "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

 private:
  std::string source_, bos_, eos_;
  bool is_default_;
  jinja::Template template_;
};

}  // namespace tern
