// JSON text -> template value: how messages, tools and other request fields reach a chat template.
#pragma once

#include <string_view>

#include "text/jinja/value.h"

namespace tern::jinja {

// Strict JSON (RFC 8259), one document. Every string in it is untrusted. Whole numbers beyond 64 bits become floats; of
// equal keys the last counts. Throws a bad-input line with the offset: syntax, invalid UTF-8, a lone surrogate, nesting
// beyond Limits::kJsonDepth, more than Limits::kRequestBodyBytes.
Value value_from_json(std::string_view json_text);

}  // namespace tern::jinja
