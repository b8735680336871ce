// Spaces as SentencePiece writes them inside pieces: U+2581. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace tern {

inline constexpr std::string_view kMarkedSpace = "\xE2\x96\x81";

// `prefix`: one in front of the text too.
std::string with_spaces_marked(std::string_view text, bool prefix);
std::string with_spaces_back(std::string_view piece);

}  // namespace tern
