// The API as Markdown, made of the tables of routes, request fields, error codes and limits: the generated part of
// docs/api.md, which a test holds equal, and `tern serve --help-fields`. Pure function; any thread.
#pragma once

#include <string>

namespace tern {

std::string api_reference();

}  // namespace tern
