#include "kernels/delta/gated_delta.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/activation/sigmoid.h"

namespace tern {
namespace {

using Vector = float[kMaxDeltaDim];

float silu(float x) { return x * sigmoid(x); }
// Above 20 the sum with 1 is x's exponential itself.
float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// One key head of a layer, and its value heads.
class HeadGroup {
 public:
  HeadGroup(const GatedDeltaArgs& args, int64_t head) : args_(args), facts_(args.facts), head_(head) {}
  void begin_block(const SequenceSlice& sequence, int64_t position) const;
  void token(int64_t token, float* state) const;

 private:
  // Of the convolution's channels, and of rows that are not by head.
  int64_t q() const { return head_ * facts_.key_dim; }
  int64_t k() const { return facts_.keys() + q(); }
  int64_t v() const { return 2 * facts_.keys() + first() * facts_.value_dim; }
  int64_t first() const { return head_ * facts_.group(); }
  void convolve(const float* in, int64_t channel, int64_t count, float* past, float* out) const;
  void value_head(int64_t token, int64_t head, const float* q, const float* k, const float* v, const float* z,
                  float* matrix) const;
  void norm_and_gate(const float* z, float* out) const;

  const GatedDeltaArgs& args_;
  const DeltaFacts& facts_;
  int64_t head_;
};

// The state before `position`, the first of its block, into that block.
void HeadGroup::begin_block(const SequenceSlice& sequence, int64_t position) const {
  float* to = args_.state.at(sequence, position);
  const float* from = position > 0 ? args_.state.at(sequence, position - 1) : nullptr;
  const auto part = [&](int64_t begin, int64_t count) {
    from == nullptr ? std::fill_n(to + begin, count, 0.0f) : std::copy_n(from + begin, count, to + begin);
  };
  const int64_t past = facts_.conv_length - 1, matrix = facts_.key_dim * facts_.value_dim;
  for (int64_t i = 0; i < past; ++i) {
    part(i * facts_.channels() + q(), facts_.key_dim);
    part(i * facts_.channels() + k(), facts_.key_dim);
    part(i * facts_.channels() + v(), facts_.group() * facts_.value_dim);
  }
  part(past * facts_.channels() + first() * matrix, facts_.group() * matrix);
}

// past: of the whole state, whose oldest values leave it.
void HeadGroup::convolve(const float* in, int64_t channel, int64_t count, float* past, float* out) const {
  const int64_t length = facts_.conv_length, stride = facts_.channels();
  for (int64_t c = 0; c < count; ++c) {
    const float* weight = args_.conv + (channel + c) * length;
    float* old = past + channel + c;
    float sum = 0;
    for (int64_t i = 0; i + 1 < length; ++i) sum += weight[i] * old[i * stride];
    out[c] = silu(sum + weight[length - 1] * in[c]);
    for (int64_t i = 0; i + 2 < length; ++i) old[i * stride] = old[(i + 1) * stride];
    old[(length - 2) * stride] = in[c];
  }
}

void to_length(float* x, int64_t count, float length) {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i] * x[i];
  const float factor = length / std::sqrt(sum + 1e-6f);
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
}

void HeadGroup::norm_and_gate(const float* z, float* out) const {
  float sum = 0;
  for (int64_t i = 0; i < facts_.value_dim; ++i) sum += out[i] * out[i];
  const float factor = 1 / std::sqrt(sum / static_cast<float>(facts_.value_dim) + args_.norm_eps);
  for (int64_t i = 0; i < facts_.value_dim; ++i) out[i] = args_.norm[i] * (out[i] * factor) * silu(z[i]);
}

// matrix: [key_dim, value_dim]
void HeadGroup::value_head(int64_t token, int64_t head, const float* q, const float* k, const float* v, const float* z,
                           float* matrix) const {
  const int64_t n = facts_.value_dim, at = first() + head;
  const float* ba = args_.ba + token * args_.ba_stride + 2 * first();
  const float kept = std::exp(args_.decay[at] * softplus(ba[facts_.group() + head] + args_.bias[at]));
  const float rate = sigmoid(ba[head]);
  float* out = args_.out + token * args_.out_stride + at * n;
  Vector delta = {};
  for (int64_t i = 0; i < facts_.key_dim; ++i) {
    float* row = matrix + i * n;
    for (int64_t j = 0; j < n; ++j) {
      row[j] *= kept;
      delta[j] += row[j] * k[i];
    }
  }
  for (int64_t j = 0; j < n; ++j) delta[j] = (v[j] - delta[j]) * rate;
  std::fill_n(out, n, 0.0f);
  for (int64_t i = 0; i < facts_.key_dim; ++i) {
    float* row = matrix + i * n;
    for (int64_t j = 0; j < n; ++j) {
      row[j] += k[i] * delta[j];
      out[j] += row[j] * q[i];
    }
  }
  norm_and_gate(z, out);
}

void HeadGroup::token(int64_t token, float* state) const {
  const int64_t dim = facts_.key_dim, n = facts_.value_dim, values = facts_.group() * n;
  const float* row = args_.qkv + token * args_.qkv_stride;
  const float* own = row + head_ * 2 * (dim + values);  // by head: q, k, v, z
  Vector q, k, v;
  convolve(facts_.by_head ? own : row + this->q(), this->q(), dim, state, q);
  convolve(facts_.by_head ? own + dim : row + this->k(), this->k(), dim, state, k);
  to_length(q, dim, 1 / std::sqrt(static_cast<float>(dim)));
  to_length(k, dim, 1);
  const float* in = facts_.by_head ? own + 2 * dim : row + this->v();
  const float* z = facts_.by_head ? in + values : args_.z + token * args_.z_stride + first() * n;
  float* matrices = state + (facts_.conv_length - 1) * facts_.channels() + first() * dim * n;
  for (int64_t head = 0; head < facts_.group(); ++head) {
    convolve(in + head * n, this->v() + head * n, n, state, v);
    value_head(token, head, q, k, v, z + head * n, matrices + head * dim * n);
  }
}

}  // namespace

void gated_delta(const GatedDeltaArgs& args, const Team& team) {
  TERN_CHECK(args.facts.conv_length >= 2);
  TERN_CHECK(std::max(args.facts.key_dim, args.facts.value_dim) <= kMaxDeltaDim);
  const Team::Range share = team.share(args.facts.key_heads);
  for (int32_t s = 0; s < args.batch.sequence_count; ++s) {
    const SequenceSlice& sequence = args.batch.sequences[s];
    for (int64_t head = share.begin; head < share.end; ++head) {
      const HeadGroup heads(args, head);
      for (int32_t t = 0; t < sequence.query_len; ++t) {
        const int64_t position = sequence.history_len + t;
        if (position % args.state.block_tokens == 0) heads.begin_block(sequence, position);
        heads.token(sequence.query_begin + t, args.state.at(sequence, position));
      }
    }
  }
}

}  // namespace tern
