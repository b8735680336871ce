#include "kernels/conv/short_conv.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace tern {
namespace {

constexpr int64_t kLanes = 16;  // channels at a time: a cache line of each token

// The last values of some channels, oldest first.
using State = float[kMaxShortConv][kLanes];

void copy_state(const ShortConvArgs& args, int64_t begin, int64_t count, const float* from, State& state) {
  for (int64_t i = 0; i + 1 < args.length; ++i) std::copy_n(from + i * args.channels + begin, count, state[i]);
}

void write_state(const ShortConvArgs& args, int64_t begin, int64_t count, const State& state, float* to) {
  for (int64_t i = 0; i + 1 < args.length; ++i) std::copy_n(state[i], count, to + i * args.channels + begin);
}

void one_token(const ShortConvArgs& args, int64_t token, int64_t begin, int64_t count, State& state) {
  const float* in = args.in + token * args.in_stride + begin;
  float* out = args.out + token * args.out_stride + begin;
  float* newest = state[args.length - 1];
  for (int64_t c = 0; c < count; ++c) newest[c] = in[c] * in[2 * args.channels + c];
  for (int64_t c = 0; c < count; ++c) {
    const float* weight = args.weight + (begin + c) * args.length;
    float sum = 0;
    for (int64_t i = 0; i < args.length; ++i) sum += weight[i] * state[i][c];
    out[c] = in[args.channels + c] * sum;
  }
  for (int64_t i = 0; i + 1 < args.length; ++i) std::copy_n(state[i + 1], count, state[i]);
}

void run_channels(const ShortConvArgs& args, const SequenceSlice& sequence, int64_t begin, int64_t count) {
  State state = {};
  const int64_t history = sequence.history_len, end = history + sequence.query_len;
  if (history > 0) copy_state(args, begin, count, args.state.at(sequence, history - 1), state);
  for (int64_t position = history; position < end; ++position) {
    one_token(args, sequence.query_begin + position - history, begin, count, state);
    const bool last = position + 1 == end || (position + 1) % args.state.block_tokens == 0;
    if (last) write_state(args, begin, count, state, args.state.at(sequence, position));
  }
}

}  // namespace

void short_conv(const ShortConvArgs& args, const Team& team) {
  TERN_CHECK(args.length >= 2 && args.length <= kMaxShortConv);
  const Team::Range share = team.share(args.channels, kLanes);
  for (int32_t s = 0; s < args.batch.sequence_count; ++s) {
    for (int64_t begin = share.begin; begin < share.end; begin += kLanes) {
      run_channels(args, args.batch.sequences[s], begin, std::min(kLanes, share.end - begin));
    }
  }
}

}  // namespace tern
