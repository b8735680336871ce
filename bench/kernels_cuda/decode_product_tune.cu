// Which ring and which split of the columns suit the decode products: times of variants on the layer shapes.
//
//   decode_product_tune [TOKENS] [bf16|fp8|w4]
#include <cstdio>
#include <cstdlib>
#include <string>

#include "decode_stack.h"
#include "gpu_timing.h"
#include "kernels/linear/decode_product_launch_sm90.cuh"

namespace tern::bench {
namespace {

// A layer's four products, overlapped, microseconds; and each product alone.
template <class R, int N>
void time_variant(const Stack& stack, int tokens, int phase_groups, cudaStream_t stream) {
  const auto time = [&](int first, int last) {
    return time_graph(stream, 15,
                      [&](cudaStream_t s) {
                        for (int layer = 0; layer < kLayers; ++layer) {
                          for (int i = first; i <= last; ++i) {
                            const DecodeProductArgs args = stack.args(layer, i, tokens, true);
                            check_cuda(static_cast<cudaError_t>(decode_product::launch<R, N>(args, phase_groups, s)),
                                       "launch");
                          }
                        }
                      })
               .median /
           kLayers;
  };
  int shared = 0;
  for (int i = 0; i < 4; ++i) {
    int bytes = 0;
    decode_product::params_of<R, N>(stack.args(0, i, tokens, true), phase_groups, &bytes);
    shared = std::max(shared, bytes);
  }
  std::printf(
      "M %2d, %d groups x %d stages x %2d warps, phase %2d (%3d KiB): qkv %.1f o %.1f gate_up %.1f down %.1f layer "
      "%.1f\n",
      tokens, R::kUnitGroups, R::kMaxStages, R::kWarps, phase_groups, shared / 1024, time(0, 0), time(1, 1), time(2, 2),
      time(3, 3), time(0, 3));
}

template <DecodeWeight W, int U, int S, int Warps>
using Ring = decode_product::Ring<W, U, S, Warps>;

template <class R>
void time_tokens(const Stack& stack, int tokens, cudaStream_t stream) {
  for (const int phase_groups : {8, 16}) {
    if (tokens <= 8) time_variant<R, 1>(stack, tokens, phase_groups, stream);
    if (tokens > 8) time_variant<R, 2>(stack, tokens, phase_groups, stream);
  }
}

void run(int tokens, const std::string& which) {
  cudaStream_t stream;
  check_cuda(cudaStreamCreate(&stream), "stream");
  if (which == "w4") {
    const Stack stack(DecodeWeight::kW4);
    time_tokens<Ring<DecodeWeight::kW4, 4, 2, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kW4, 4, 3, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kW4, 4, 4, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kW4, 4, 5, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kW4, 2, 8, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kW4, 4, 3, 12>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kW4, 4, 2, 16>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kW4, 2, 4, 16>>(stack, tokens, stream);
  } else if (which == "bf16") {
    const Stack stack(DecodeWeight::kBf16);
    time_tokens<Ring<DecodeWeight::kBf16, 2, 3, 4>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kBf16, 2, 4, 4>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kBf16, 2, 5, 4>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kBf16, 1, 4, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kBf16, 2, 2, 8>>(stack, tokens, stream);
  } else {
    const Stack stack(DecodeWeight::kFp8Block);
    time_tokens<Ring<DecodeWeight::kFp8Block, 2, 3, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kFp8Block, 2, 4, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kFp8Block, 4, 2, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kFp8Block, 1, 8, 8>>(stack, tokens, stream);
    time_tokens<Ring<DecodeWeight::kFp8Block, 2, 3, 12>>(stack, tokens, stream);
  }
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  tern::bench::run(argc > 1 ? std::atoi(argv[1]) : 1, argc > 2 ? argv[2] : "w4");
  return 0;
}
