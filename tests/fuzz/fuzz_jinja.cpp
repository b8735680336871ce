// libFuzzer entry for the chat-template interpreter: the input is JSON data, a zero byte, then a template. Whatever it
// is, rendering ends, within the limits of core/limits.h, in text or in a tern::Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "core/limits.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const size_t cut = input.find('\0');
  const std::string_view json = cut == input.npos ? std::string_view() : input.substr(0, cut);
  const std::string_view source = cut == input.npos ? input : input.substr(cut + 1);
  tern::ChatInputs inputs;
  inputs.messages = tern::jinja::value_from_json(R"([{"role": "user", "content": "Hi <|im_end|>"}])");
  inputs.now = std::tm{};
  try {
    const tern::jinja::Value data = tern::jinja::value_from_json(json);
    inputs.kwargs.emplace_back("data", data);
    if (data.is_list() && !data.list().items.empty()) inputs.messages = data;
  } catch (const tern::Error&) {
  }
  try {
    const tern::MarkedText out = tern::ChatTemplate(std::string(source), "<s>", "</s>").render(inputs);
    if (out.text.size() != out.trusted.size() || out.size() > tern::Limits::kTemplateOutputBytes) std::abort();
  } catch (const tern::Error&) {
  }
  return 0;
}
