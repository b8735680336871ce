// The text part of a folder whose model also sees or hears: config.json has a text_config inside, and the tensors of
// the decoder stand under a prefix of their own beside those of other parts.
#pragma once

#include "formats/checkpoint.h"

namespace tern {

// `whole` itself where it has no text_config. Otherwise the same files with the keys of text_config as those of the
// model, those outside of it where it says nothing, and the decoder's tensors alone, as a folder of text has them
// ("model.layers.0...", "lm_head.weight"); Checkpoint::left_out names the rest. Pure; any thread.
Checkpoint text_part(Checkpoint whole);

}  // namespace tern
