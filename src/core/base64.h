// Base64 (RFC 4648, section 4). Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tern {

// The bytes, or nothing where the text is not base64 with its padding.
std::optional<std::string> base64_decoded(std::string_view text);

}  // namespace tern
