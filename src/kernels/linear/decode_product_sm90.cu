// Decode products on Hopper: the rows of the table, one a weight format.
#include <cuda_runtime.h>

#include "kernels/linear/decode_product_launch_sm90.cuh"

namespace tern {
namespace {

// Groups of 128 columns a phase: x of 8 tokens takes 2 x 33 KiB.
constexpr int kPhaseGroups = 16;

template <class R>
int run(const DecodeProductArgs& args, void* stream) {
  if (args.tokens < 1 || args.tokens > kDecodeProductMaxTokens) return cudaErrorInvalidValue;
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  return args.tokens <= decode_product::kMatrixTokens ? decode_product::launch<R, 1>(args, kPhaseGroups, cuda_stream)
                                                      : decode_product::launch<R, 2>(args, kPhaseGroups, cuda_stream);
}

// Rows of weights and of x are copied in whole 16-byte pieces; indices are int.
template <class R>
bool supports(const DecodeProductDesc& desc) {
  const int64_t step = R::kFp8 ? 16 : 8;
  return desc.weight == R::kWeight && desc.rows > 0 && desc.rows <= 1 << 20 && desc.cols > 0 && desc.cols <= 1 << 16 &&
         desc.cols % step == 0;
}

template <class R>
Cost cost(const DecodeProductDesc& desc, int64_t tokens) {
  const auto rows = static_cast<double>(desc.rows), cols = static_cast<double>(desc.cols);
  double weights = rows * cols;
  if (R::kWeight == DecodeWeight::kBf16) weights *= 2;
  if (R::kWeight == DecodeWeight::kW4) weights = static_cast<double>(w4::packed_bytes(desc.rows, desc.cols));
  if (R::kBlock32) weights = static_cast<double>(w4::block32_bytes(desc.rows, desc.cols, R::kOffset));
  if (R::kWeight == DecodeWeight::kFp8Channel) weights += 4 * rows;
  if (R::kWeight == DecodeWeight::kFp8Block) weights += 4 * rows * cols / (128 * 128);
  return {weights + 2 * static_cast<double>(tokens) * (rows + cols), 2 * static_cast<double>(tokens) * rows * cols};
}

template <class R>
constexpr DecodeProductImpl row_of(const char* name) {
  return {name, R::kWeight, supports<R>, run<R>, cost<R>};
}

// Ring<weight, groups of 128 columns a stage, stages at most, warps>, by decode_product_tune on an H100. 64 to 128 KiB
// are under way a multiprocessor: less leaves the memory idle, more keeps x waiting behind the weights.
using Bf16 = decode_product::Ring<DecodeWeight::kBf16, 2, 2, 8>;
using Fp8Channel = decode_product::Ring<DecodeWeight::kFp8Channel, 2, 3, 8>;
using Fp8Block = decode_product::Ring<DecodeWeight::kFp8Block, 2, 3, 8>;
using W4 = decode_product::Ring<DecodeWeight::kW4, 4, 2, 8>;
using W4Block32 = decode_product::Ring<DecodeWeight::kW4Block32, 4, 2, 8>;
using W4Block32Offset = decode_product::Ring<DecodeWeight::kW4Block32Offset, 4, 2, 8>;

constexpr DecodeProductImpl kRows[] = {
    row_of<Bf16>("sm90_bf16"),
    row_of<Fp8Channel>("sm90_fp8_channel"),
    row_of<Fp8Block>("sm90_fp8_block"),
    row_of<W4>("sm90_w4"),
    row_of<W4Block32>("sm90_w4_block32"),
    row_of<W4Block32Offset>("sm90_w4_block32_offset"),
};

}  // namespace

const DecodeProductImplSpan kDecodeProductSm90 = {kRows, 6};

}  // namespace tern
