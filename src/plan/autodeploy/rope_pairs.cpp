#include "plan/autodeploy/rope_pairs.h"

#include <cmath>

#include "model/weights.h"

namespace tern {
namespace {

// Differences below the first share of those of any two rows are those of pairs, above the second they are not. Without
// structure the shares differ from 1 by about 1/sqrt(pairs).
constexpr double kPairs = 0.65, kNoPairs = 0.85;
constexpr int64_t kPairsForAVerdict = 512;

struct Sums {
  double halves = 0, interleaved = 0, any = 0;
  int64_t pairs = 0;
};

void add_heads(const TensorInfo& tensor, int64_t first_row, int64_t heads, int64_t head_dim, int64_t dims, Sums& sums) {
  const std::vector<float> values = decode_tensor(tensor);
  const int64_t cols = tensor.cols();
  std::vector<double> energy(static_cast<size_t>(dims));
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < dims; ++i) {
      const float* row = values.data() + (first_row + head * head_dim + i) * cols;
      double sum = 1e-30;
      for (int64_t c = 0; c < cols; ++c) sum += static_cast<double>(row[c]) * row[c];
      energy[static_cast<size_t>(i)] = std::log(sum);
    }
    const auto difference = [&](int64_t a, int64_t b) {
      return std::abs(energy[static_cast<size_t>(a)] - energy[static_cast<size_t>(b)]);
    };
    for (int64_t pair = 0; pair < dims / 2; ++pair) {
      sums.halves += difference(pair, pair + dims / 2);
      sums.interleaved += difference(2 * pair, 2 * pair + 1);
      ++sums.pairs;
    }
    double any = 0;
    for (int64_t a = 0; a < dims; ++a) {
      for (int64_t b = 0; b < a; ++b) any += difference(a, b);
    }
    sums.any += any / static_cast<double>(dims - 1);  // dims / 2 times their mean
  }
}

}  // namespace

std::optional<RopeStyle> RopePairsMeasure::style() const {
  if (any <= 0) return std::nullopt;
  if (halves < kPairs * any) return RopeStyle::kHalves;
  if (interleaved < kPairs * any && halves > kNoPairs * any) return RopeStyle::kInterleaved;
  return std::nullopt;
}

RopePairsMeasure measure_rope_pairs(const TensorRoles& roles, int64_t heads, int64_t kv_heads, int64_t head_dim,
                                    int64_t dims) {
  if (roles.transposed) return {};
  Sums sums;
  for (int32_t layer = 0; layer < roles.layers; ++layer) {
    const TensorInfo* k = roles.find(Role::kAttentionK, layer);
    int64_t first_row = 0;
    if (k == nullptr) {
      k = roles.find(Role::kAttentionQkv, layer);
      first_row = heads * head_dim;
    }
    if (k == nullptr || k->data.empty() || k->rows() < first_row + kv_heads * head_dim) continue;
    add_heads(*k, first_row, kv_heads, head_dim, dims, sums);
  }
  if (sums.pairs < kPairsForAVerdict) return {};
  const auto pairs = static_cast<double>(sums.pairs);
  return {sums.halves / pairs, sums.interleaved / pairs, sums.any / pairs};
}

}  // namespace tern
