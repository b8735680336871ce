#include "text/byte_level.h"

#include <array>

#include "text/utf8.h"

namespace tern {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr char32_t kFirstShifted = 0x100;
constexpr int kShifted = 68;  // bytes that do not stand for themselves

struct Alphabet {
  std::array<std::array<char, 2>, 256> text{};
  std::array<uint8_t, 256> length{};
  std::array<int16_t, kFirstShifted + kShifted> byte_of{};  // by code point, -1: not a character of the alphabet

  constexpr Alphabet() {
    for (auto& entry : byte_of) entry = -1;
    char32_t next = kFirstShifted;
    for (int byte = 0; byte < 256; ++byte) {
      const char32_t point = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
      byte_of[point] = static_cast<int16_t>(byte);
      const bool one = point < 0x80;
      text[byte][0] = static_cast<char>(one ? point : 0xC0 | (point >> 6));
      text[byte][1] = static_cast<char>(one ? 0 : 0x80 | (point & 0x3F));
      length[byte] = one ? 1 : 2;
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

std::string_view byte_level_character(uint8_t byte) { return {kAlphabet.text[byte].data(), kAlphabet.length[byte]}; }

std::optional<std::string> byte_level_decode(std::string_view piece) {
  std::string bytes;
  bytes.reserve(piece.size());
  for (size_t i = 0; i < piece.size();) {
    const CodePoint point = code_point_at(piece, i);
    if (point.value >= kAlphabet.byte_of.size() || kAlphabet.byte_of[point.value] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte_of[point.value]));
    i += point.bytes;
  }
  return bytes;
}

std::string byte_level_encode(std::string_view bytes) {
  std::string piece;
  piece.reserve(bytes.size() * 2);
  for (const char byte : bytes) piece.append(byte_level_character(static_cast<uint8_t>(byte)));
  return piece;
}

}  // namespace tern
