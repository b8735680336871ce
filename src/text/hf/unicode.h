// Classes and forms of characters as the rules of tokenizer.json mean them. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tern::hf {

bool is_white_space(char32_t point);  // Unicode's White_Space
bool is_numeric(char32_t point);      // a number of any kind: Nd, Nl, No
bool is_punctuation(char32_t point);  // of Unicode 8, or an ASCII sign
bool is_mark(char32_t point);         // a combining character
bool is_word_part(char32_t point);    // what \w matches

enum class Form : uint8_t { kNfc, kNfd, kNfkc, kNfkd };
// Of valid UTF-8.
std::string in_form(std::string_view text, Form form);
std::string lower_case(std::string_view text);

}  // namespace tern::hf
