// The metadata keys that decoders share, read once for all architectures: GGUF's "<arch>.<key>" and the fields that
// most config.json files use. An architecture's own file corrects what differs.
#pragma once

#include "formats/checkpoint.h"
#include "model/config.h"

namespace tern {

// Sizes, norm epsilon, rope and tied embeddings of a decoder, from either kind of checkpoint. The vocabulary is the
// number of rows of the token embedding and must agree with what the metadata says.
ModelConfig decoder_config(const Checkpoint& checkpoint);

// What YaRN multiplies rotated vectors with, for a scaling by `factor`; `scale` is the models' mscale.
double yarn_magnitude(double factor, double scale = 1);

// Refuses a Hugging Face flag that is set and that no block answers to.
void refuse_flag(const Metadata& metadata, const char* key);

// "layer_types" of a Hugging Face config, where it is there: config.window for sliding_attention, none for
// full_attention, into config.layer_attention.
void read_layer_types(const Checkpoint& checkpoint, ModelConfig& config);

// Experts of a mixture, from either kind of checkpoint; none where it says nothing of them.
void read_experts(const Checkpoint& checkpoint, ModelConfig& config);

// What Hugging Face files say of the rotation of layers with a window, into config.local_rope.
void read_local_rope(const Metadata& metadata, ModelConfig& config);

}  // namespace tern
