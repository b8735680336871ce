// The JSON that the routes reply with, as schemas by name: what openai_answer, api_error and the small routes write.
// Pure function; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace tern {

nlohmann::json reply_schemas();

}  // namespace tern
