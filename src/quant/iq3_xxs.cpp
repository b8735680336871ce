#include "quant/iq3_xxs.h"

#include "quant/codebook_decode.h"

namespace tern {

void decode_iq3_xxs(const std::byte* data, int64_t blocks, float* out) {
  decode_codebook<Iq3XxsCodebook>(data, blocks, take_apart_iq3_xxs, out);
}

}  // namespace tern
