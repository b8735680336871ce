// Shapes of known models by name, each as what its public config.json says, so that they are read as any other one is.
// A new row makes `synth:NAME` work everywhere. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>

namespace tern {

// The config.json of a known shape, or nothing (empty).
std::string_view known_shape(std::string_view name);
// Every name, comma-separated, for messages and help.
std::string known_shape_names();

}  // namespace tern
