// The metadata keys that inference understands: under other names that files use for them, and which are no matter of
// the computation. A key that is neither is a doubt, for it may change what is computed.
#pragma once

#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace tern {

struct UnderstoodMetadata {
  Metadata metadata;                // what was understood, under the names that model/archs/keys reads
  std::vector<std::string> doubts;  // keys that were not
};

// GGUF keys move from the architecture's prefix to "inferred.".
UnderstoodMetadata understand(const Checkpoint& checkpoint);

}  // namespace tern
