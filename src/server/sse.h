// Server-sent events (WHATWG HTML, section 9.2): how a stream writes them. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace tern {

// One event. `data` without line breaks, as JSON is.
inline std::string sse_event(std::string_view data) {
  std::string out;
  out.reserve(data.size() + 8);
  return out.append("data: ").append(data).append("\n\n");
}

// What clients skip: keeps a silent connection alive.
inline std::string sse_comment(std::string_view text) { return std::string(": ").append(text).append("\n\n"); }

inline std::string sse_done() { return sse_event("[DONE]"); }

}  // namespace tern
