#include "quant/iq2_xxs.h"

#include "quant/codebook_decode.h"

namespace tern {

void decode_iq2_xxs(const std::byte* data, int64_t blocks, float* out) {
  decode_codebook<NarrowCodebook>(data, blocks, take_apart_iq2_xxs, out);
}

}  // namespace tern
