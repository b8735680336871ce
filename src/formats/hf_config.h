// config.json and its companions as metadata: nested keys joined with dots, "rope_scaling.factor".
//
// null is as good as absent. Arrays of numbers, strings, booleans or arrays become arrays; an object inside an array
// gets its index as key ("layers.0.type"), and an array that mixes kinds is known by its size alone. Pure function, any
// thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "formats/checkpoint.h"

namespace tern {

// Adds the values of the JSON object `text` to checkpoint.metadata, each key after `prefix`; strings are copied to
// checkpoint.strings. `path` is for messages. Refuses what is not an object, a repeated key and whatever is over a
// limit.
void read_config(std::span<const std::byte> text, const std::string& path, std::string_view prefix,
                 Checkpoint& checkpoint);

}  // namespace tern
