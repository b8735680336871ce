// Blocks that inference does not know: why a tensor is refused that belongs to one. Pure; any thread.
#pragma once

#include <string_view>

namespace tern {

inline constexpr std::string_view kUnexplained = "no role explains it";

// By a part of the tensor's name; kUnexplained where it belongs to none.
std::string_view why_refused(std::string_view tensor_name);

}  // namespace tern
