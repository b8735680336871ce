#include "quant/iq1_s.h"

#include "quant/codebook_decode.h"

namespace tern {

void decode_iq1_s(const std::byte* data, int64_t blocks, float* out) {
  decode_codebook<NarrowCodebook>(data, blocks, take_apart_iq1_s, out);
}

}  // namespace tern
