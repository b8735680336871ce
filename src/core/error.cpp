#include "core/error.h"

#include <cstdio>
#include <cstdlib>

namespace tern {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kFailed:
      return "failed";
    case ErrorCode::kBadInput:
      return "bad_input";
    case ErrorCode::kResource:
      return "resource";
    case ErrorCode::kDevice:
      return "device";
  }
  return "failed";
}

void fail(ErrorCode code, std::string message) { throw Error(code, message); }

void bad_input(std::string message) { throw Error(ErrorCode::kBadInput, message); }

void check_failed(const char* file, int line, const char* expression, std::string_view values) {
  std::fprintf(stderr, "tern: internal error at %s:%d: %s %.*s\n", file, line, expression,
               static_cast<int>(values.size()), values.data());
  std::fflush(stderr);
  std::abort();
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t i = 0; i < text.size() && i < max_bytes; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != 0x7f) {
      out.push_back(text[i]);
    } else {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    }
  }
  if (text.size() > max_bytes) out += "...";
  return out;
}

}  // namespace tern
