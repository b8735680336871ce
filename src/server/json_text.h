// JSON strings written straight into a buffer, for what is written too often for a document tree: a streamed token, a
// log line. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

namespace tern {

// Appends `text` as a JSON string with its quotes: RFC 8259 escapes, invalid UTF-8 as U+FFFD, all else as it is.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tern
