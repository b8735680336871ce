#include "quant/iq3_s.h"

#include "quant/codebook_decode.h"

namespace tern {

void decode_iq3_s(const std::byte* data, int64_t blocks, float* out) {
  decode_codebook<Iq3SCodebook>(data, blocks, take_apart_iq3_s, out);
}

}  // namespace tern
