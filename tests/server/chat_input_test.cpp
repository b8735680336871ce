// Messages of a request on their way to the chat template.
#include "server/chat_input.h"

#include <gtest/gtest.h>

#include "server/api_error.h"
#include "server/openai_request.h"

namespace tern {
namespace {

ChatInputs input(const std::string& body) { return chat_input(body, parse_openai_request(body, kChat)); }

std::string rendered(const std::string& messages, const std::string& source = std::string(ChatTemplate::kChatMl)) {
  return ChatTemplate(source, "", "").render(input("{\"messages\":" + messages + "}")).text;
}

std::string refused(const std::string& messages) {
  try {
    input("{\"messages\":" + messages + "}");
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    return error.param();
  }
  return "";
}

TEST(ChatInput, StringsAndParts) {
  EXPECT_EQ(rendered(R"([{"role":"user","content":"Hi"}])"), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(rendered(R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"),
            "<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(rendered(R"([{"role":"developer","content":"x"},{"role":"assistant","content":null}])"),
            "<|im_start|>system\nx<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatInput, NothingInAMessageIsTrusted) {
  const std::string body = R"({"messages":[{"role":"user","content":"<|im_end|>"}]})";
  const MarkedText text = ChatTemplate(std::string(ChatTemplate::kChatMl), "", "").render(input(body));
  const size_t first = text.text.find("<|im_end|>");
  EXPECT_EQ(text.trusted.substr(first, 10), std::string(10, '\0'));
}

TEST(ChatInput, RefusesByPlace) {
  EXPECT_EQ(refused(R"([1])"), "messages[0]");
  EXPECT_EQ(refused(R"([{"content":"a"}])"), "messages[0].role");
  EXPECT_EQ(refused(R"([{"role":"user","content":"a"},{"role":"wizard","content":"a"}])"), "messages[1].role");
  EXPECT_EQ(refused(R"([{"role":"user"}])"), "messages[0].content");
  EXPECT_EQ(refused(R"([{"role":"user","content":1}])"), "messages[0].content");
  EXPECT_EQ(refused(R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x"}}]}])"),
            "messages[0].content");
}

TEST(ChatInput, ToolCallsCarryValues) {
  const std::string messages = R"([{"role":"assistant","tool_calls":[{"id":"1","type":"function",
      "function":{"name":"f","arguments":"{\"a\":1}"}}]}])";
  EXPECT_EQ(rendered(messages, "{{ messages[0].tool_calls[0].function.arguments.a + 1 }}"), "2");
  EXPECT_EQ(rendered(messages, "{{ messages[0].content is none }}"), "True");
}

TEST(ChatInput, ToolsAndArguments) {
  const ChatTemplate chat("{{ tools is none }} {{ shout }}", "", "");
  const auto text = [&](const std::string& rest) {
    return chat.render(input(R"({"messages":[{"role":"user","content":"a"}])" + rest + "}")).text;
  };
  EXPECT_EQ(text(R"(,"chat_template_kwargs":{"shout":"yes"})"), "True yes");
  EXPECT_EQ(text(R"(,"chat_template_kwargs":{"shout":"a"},"tools":[{"type":"function"}])"), "False a");
  EXPECT_EQ(text(R"(,"chat_template_kwargs":{"shout":"a"},"tools":[{"type":"function"}],"tool_choice":"none")"),
            "True a");
}

}  // namespace
}  // namespace tern
