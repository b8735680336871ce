// The byte-level alphabet: how a vocabulary writes arbitrary bytes as printable characters.
//
// Each of the 256 bytes has one character. Printable Latin-1 bytes stand for themselves; the other 68 take U+0100,
// U+0101, ... in byte order, so that a space reads "Ġ" (Radford et al. 2019, "Language Models are Unsupervised
// Multitask Learners", section 2.2, and its published encoder). Pure functions over constant tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tern {

// The character of `byte` in UTF-8 (one or two bytes, static storage).
std::string_view byte_level_character(uint8_t byte);

// The bytes that `piece` stands for, or nothing when a character is outside the alphabet.
std::optional<std::string> byte_level_decode(std::string_view piece);

std::string byte_level_encode(std::string_view bytes);

}  // namespace tern
