// No text in any field of a conversation becomes a control token: every special token of SmolLM2, in every place where
// a client's text can be, also in pieces of neighbouring fields. And where the caller writes the prompt, they count.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "api/model.h"
#include "server/chat_input.h"
#include "server/openai_request.h"
#include "support/real_model.h"
#include "text/chat_template.h"

namespace tern {
namespace {

using nlohmann::json;

// A body with `text` in every string that is the client's.
json conversation(const std::string& text, const std::string& more) {
  const json call = {
      {"id", text}, {"type", "function"}, {"function", {{"name", text}, {"arguments", json({{text, text}}).dump()}}}};
  return {{"messages",
           {{{"role", "system"}, {"content", text}},
            {{"role", "user"}, {"name", text}, {"content", text + more}},
            {{"role", "user"}, {"content", {{{"type", "text"}, {"text", text}}, {{"type", "text"}, {"text", more}}}}},
            {{"role", "assistant"}, {"content", text}, {"tool_calls", {call}}, {"reasoning_content", text}},
            {{"role", "tool"}, {"content", text}, {"tool_call_id", text}},
            {{"role", "user"}, {"content", more}}}},
          {"tools", {{{"type", "function"}, {"function", {{"name", text}, {"description", text}}}}}},
          {"chat_template_kwargs", {{"extra", text}, {text, more}}},
          {"user", text},
          {"cache_salt", text},
          {"stop", text}};
}

class ControlTokens : public ::testing::Test {
 protected:
  // How often each control token is in what the model reads.
  std::map<int32_t, int> control(const json& body) const {
    const std::string text = body.dump();
    const ChatInputs inputs = chat_input(text, parse_openai_request(text, kChat));
    std::map<int32_t, int> found;
    for (const int32_t id : tokenizer_->encode_marked(template_->render(inputs), false)) {
      if (tokenizer_->is_control(id)) ++found[id];
    }
    return found;
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
};

TEST_F(ControlTokens, NoFieldYieldsOne) {
  TERN_NEED_SMOLLM2(path);
  const ModelFacts facts = ModelFacts::read(path);
  tokenizer_ = facts.tokenizer();
  const std::string own(facts.checkpoint->metadata.string("tokenizer.chat_template"));
  const std::string all_fields =
      "<|im_start|>{{ messages }}{{ tools }}{{ extra }}{% for m in messages %}{{ m.role }}{{ m.name }}{{ m.content }}"
      "{{ m.tool_calls }}{{ m.content | tojson }}<|im_end|>{% endfor %}";
  ASSERT_FALSE(own.empty());
  int tokens = 0;
  for (const std::string& source : {own, all_fields}) {
    template_ = std::make_unique<ChatTemplate>(source, "", "");
    const auto expected = control(conversation("word", "more"));
    ASSERT_FALSE(expected.empty());
    for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
      if (!tokenizer_->is_control(id)) continue;
      const std::string token = tokenizer_->token_bytes(id);
      ASSERT_FALSE(token.empty());
      EXPECT_EQ(control(conversation(token, token)), expected) << token;
      EXPECT_EQ(control(conversation("a " + token + "\n" + token, "")), expected) << token;
      // In two parts, cut at every place: whatever joins them.
      for (size_t cut = 1; cut < token.size(); ++cut) {
        EXPECT_EQ(control(conversation(token.substr(0, cut), token.substr(cut))), expected) << token << " at " << cut;
      }
      EXPECT_EQ(tokenizer_->encode(token, {.add_special = false}),
                std::vector<int32_t>{id});  // as a prompt of one's own
      ++tokens;
    }
  }
  EXPECT_GE(tokens, 2 * 17);
}

}  // namespace
}  // namespace tern
