// The messages and tools of a chat request as the template takes them. Pure function; any thread.
//
// Content given as a list of text parts becomes one string; "developer" becomes "system", which templates know;
// arguments of tool calls, which clients send as JSON text, become values. Everything in it is untrusted text.
#pragma once

#include <string_view>

#include "text/chat_template.h"

namespace tern {

struct OpenAiRequest;

// `body` is the JSON that `request` was parsed from. Throws a 400 that names the message at fault.
ChatInputs chat_input(std::string_view body, const OpenAiRequest& request);

}  // namespace tern
