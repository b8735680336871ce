// A request's body as JSON, within its limits, and the words in which a value is refused. Pure functions; any thread.
//
// What comes out is a JSON object of valid UTF-8 that nests at most kBodyDepth levels; a lone surrogate, a byte that is
// no UTF-8 or a number beyond a double is a 400 with code invalid_json. NUL is a character like others.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "server/request_fields.h"

namespace tern {

nlohmann::json parse_body(std::string_view body);

// Throws a 400 that names the field: "'n' must be an integer, not a string".
[[noreturn]] void refuse_type(const std::string& param, const std::string& wanted, const nlohmann::json& value);

// Type and range as the field's row says. A whole number written as 2.0 becomes the integer that it is.
void check_field(const RequestField& field, nlohmann::json& value);

// A bound in the table: an integer as such, anything else with up to three decimals.
std::string bound_text(double bound);

}  // namespace tern
