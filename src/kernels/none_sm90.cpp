// Stands in for every *_sm90.cu of the kernel families in a build without CUDA.
#include "kernels/attention/decode_attention.h"
#include "kernels/attention/prefill_attention.h"
#include "kernels/linear/decode_product.h"

namespace tern {

const DecodeAttentionImplSpan kDecodeAttentionSm90 = {nullptr, 0};
const DecodeProductImplSpan kDecodeProductSm90 = {nullptr, 0};
const PrefillAttentionImplSpan kPrefillAttentionSm90 = {nullptr, 0};

}  // namespace tern
