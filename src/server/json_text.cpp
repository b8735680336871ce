#include "server/json_text.h"

#include <array>

#include "text/utf8.h"

namespace tern {
namespace {

// What stands behind the backslash; 'u': a control character without a short form; 0: written as it is.
constexpr std::array<char, 256> kEscapes = [] {
  std::array<char, 256> escapes{};
  for (size_t byte = 0; byte < 0x20; ++byte) escapes[byte] = 'u';
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  return escapes;
}();

void append_escaped(std::string& out, std::string_view valid) {
  constexpr std::string_view kHex = "0123456789abcdef";
  size_t plain = 0;  // where the bytes begin that need no escape
  for (size_t i = 0; i < valid.size(); ++i) {
    const auto byte = static_cast<unsigned char>(valid[i]);
    const char escape = kEscapes[byte];
    if (escape == 0) continue;
    out.append(valid, plain, i - plain).push_back('\\');
    out.push_back(escape);
    if (escape == 'u') out.append("00").append({kHex[byte >> 4], kHex[byte & 15]});
    plain = i + 1;
  }
  out.append(valid, plain);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  for (size_t i = 0; i < text.size();) {
    const size_t valid = valid_utf8_length(text, i);
    append_escaped(out, text.substr(i, valid));
    i += valid;
    if (i == text.size()) break;
    append_utf8(out, 0xFFFD);
    i += code_point_at(text, i).bytes;
  }
  out.push_back('"');
}

}  // namespace tern
