#include "quant/iq2_xs.h"

#include "quant/codebook_decode.h"

namespace tern {

void decode_iq2_xs(const std::byte* data, int64_t blocks, float* out) {
  decode_codebook<NarrowCodebook>(data, blocks, take_apart_iq2_xs, out);
}

}  // namespace tern
