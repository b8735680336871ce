#include "engine/runner/cpu_latent.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/runner/runner.h"

namespace tern {
namespace {

// Heads whose products run together: work for every worker, while their prepared rows stay in megabytes.
constexpr size_t kHeadsTogether = 16;

}  // namespace

void LatentKeyStep::run(const StepContext& context, const Team& team) const {
  const auto rank = static_cast<int64_t>(weight_.size()), rotated = in_.cols - rank;
  const Team::Range share = team.share(count_of(in_, context.shape));
  for (int64_t t = share.begin; t < share.end; ++t) {
    const float* in = in_.data + t * in_.stride;
    float* out = out_.data + t * out_.stride;
    std::memcpy(out, in + rank, static_cast<size_t>(rotated) * sizeof(float));
    norm_.run({in, nullptr, nullptr, weight_.data(), out + rotated, 1, rank, eps_});
  }
}

Cost LatentKeyStep::cost(const BatchShape& shape) const { return RmsNorm::cost(count_of(in_, shape), in_.cols, false); }

uint64_t HeadProductStep::workspace_bytes(const Linear& product, int64_t tokens, int workers) {
  return static_cast<uint64_t>(workers) * product.scratch_bytes() + kHeadsTogether * product.prepared_bytes(tokens);
}

void HeadProductStep::copy_kept(int64_t tokens, const Team& team) const {
  const int64_t in_head = in_.cols / columns_.heads, out_head = out_.cols / columns_.heads;
  const Team::Range share = team.share(tokens * columns_.heads);
  for (int64_t i = share.begin; i < share.end; ++i) {
    const int64_t token = i / columns_.heads, head = i % columns_.heads;
    std::memcpy(out_.data + token * out_.stride + head * out_head,
                in_.data + token * in_.stride + head * in_head + columns_.kept_begin,
                static_cast<size_t>(columns_.kept) * sizeof(float));
  }
}

void HeadProductStep::run(const StepContext& context, const Team& team) const {
  const int64_t tokens = count_of(in_, context.shape);
  const int64_t in_head = in_.cols / columns_.heads, out_head = out_.cols / columns_.heads;
  const uint64_t prepared = products_[0]->prepared_bytes(tokens);
  std::byte* first = context.workspace + static_cast<uint64_t>(team.size()) * products_[0]->scratch_bytes();
  if (columns_.kept > 0) copy_kept(tokens, team);
  std::array<LinearTask, kHeadsTogether> tasks;
  for (size_t head = 0; head < products_.size(); head += kHeadsTogether) {
    const size_t count = std::min(kHeadsTogether, products_.size() - head);
    if (head > 0) team.sync();
    for (size_t i = 0; i < count; ++i) {
      const auto h = static_cast<int64_t>(head + i);
      tasks[i] = {products_[head + i],
                  {.x = in_.data + h * in_head + columns_.begin,
                   .x_stride = in_.stride,
                   .tokens = tokens,
                   .out = out_.data + h * out_head + columns_.kept,
                   .out_stride = out_.stride,
                   .workspace = first + i * prepared}};
    }
    Linear::run_together({tasks.data(), count}, context.workspace, team);
  }
}

Cost HeadProductStep::cost(const BatchShape& shape) const {
  Cost sum = products_[0]->cost(count_of(in_, shape));
  const auto heads = static_cast<double>(products_.size());
  sum.bytes *= heads;
  sum.ops *= heads;
  sum.activations *= heads;
  return sum;
}

}  // namespace tern
