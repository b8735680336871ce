// Cross-origin requests from web pages (Fetch standard, section 3.2): which origins may read answers. Pure functions.
//
// Without allowed origins nothing is said, and a browser shows no page an answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tern {

// Header lines, each with its line break, that let a page of `origin` read the reply; none when it may not. "*" among
// `allowed` allows every origin.
std::string cors_headers(const std::vector<std::string>& allowed, std::string_view origin);

// The same for the reply to the question that a browser asks first (OPTIONS, "preflight").
std::string cors_preflight_headers(const std::vector<std::string>& allowed, std::string_view origin,
                                   std::string_view wanted_headers);

// Throws a bad-input line when it is neither "*" nor "SCHEME://HOST[:PORT]".
void check_origin(const std::string& origin);

}  // namespace tern
