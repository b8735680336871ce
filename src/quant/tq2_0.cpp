#include "quant/tq2_0.h"

#include "quant/codebook_decode.h"

namespace tern {

void decode_tq2_0(const std::byte* data, int64_t blocks, float* out) {
  decode_codebook<NarrowCodebook>(data, blocks, take_apart_tq2_0, out);
}

}  // namespace tern
