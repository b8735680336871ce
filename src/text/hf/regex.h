// The regular expressions of tokenizer.json, which are Oniguruma's (Ruby's), as the patterns that PCRE2 takes.
//
// The two agree on most; what differs is rewritten (\s, \w, \b, \h and POSIX classes by Unicode's properties, a class
// inside a class, {n,m}+, \uHHHH, names of properties, (?m)) or refused by name (intersections, subexpression calls,
// verbs). Pure function.
#pragma once

#include <string>
#include <string_view>

namespace tern::hf {

// Throws one bad-input line that begins with `where`.
std::string pcre2_of_oniguruma(std::string_view pattern, const std::string& where);
// Every character of `text` for itself.
std::string pcre2_of_literal(std::string_view text);

}  // namespace tern::hf
