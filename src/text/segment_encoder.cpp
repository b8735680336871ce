#include "text/segment_encoder.h"

namespace tern {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

}  // namespace

std::optional<uint8_t> byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  size_t value = 0;
  for (const char c : piece.substr(3, 2)) {
    const size_t digit = kHexDigits.find(c);
    if (digit == kHexDigits.npos) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<uint8_t>(value);
}

std::string piece_of_byte(uint8_t byte) { return {'<', '0', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15], '>'}; }

}  // namespace tern
