#include "engine/runner/cpu_steps.h"

#include <cstring>

namespace tern {
namespace {

int64_t count_of(const Place& place, const BatchShape& shape) {
  return place.rows == RowCount::kTokens ? shape.tokens : shape.rows;
}

}  // namespace

void EmbedStep::run(const StepContext& context, const Team& team) const {
  const FormatInfo& info = format_info(table_.format);
  const auto row_bytes = static_cast<int64_t>(table_.data.size()) / table_.rows();
  const Team::Range share = team.share(context.shape.tokens);
  for (int64_t t = share.begin; t < share.end; ++t) {
    const int64_t id = context.batch.tokens[static_cast<size_t>(t)];
    float* out = out_.data + t * out_.stride;
    if (tied_ != nullptr) {
      tied_->read_row(id, out);
    } else {
      info.decode(table_.data.data() + id * row_bytes, table_.cols() / info.block_elements, out);
    }
  }
}

Cost EmbedStep::cost(const BatchShape& shape) const {
  const double row = static_cast<double>(table_.data.size()) / static_cast<double>(table_.rows());
  const double out = 4.0 * static_cast<double>(table_.cols()), tokens = shape.tokens;
  return {.bytes = tokens * (row + out), .activations = tokens * out};
}

void SelectRowsStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(context.shape.rows);
  for (int64_t r = share.begin; r < share.end; ++r) {
    std::memcpy(out_.data + r * out_.stride, in_.data + context.batch.wanted[static_cast<size_t>(r)] * in_.stride,
                static_cast<size_t>(in_.cols) * sizeof(float));
  }
}

Cost SelectRowsStep::cost(const BatchShape& shape) const {
  const double bytes = 8.0 * static_cast<double>(shape.rows * in_.cols);
  return {.bytes = bytes, .activations = bytes};
}

void LinearStep::run(const StepContext& context, const Team& team) const {
  const int64_t tokens = count_of(in_, context.shape);
  if (tokens == 0) return;
  linear_.run({in_.data, in_.stride, tokens, out_.data, out_.stride, context.workspace}, team);
}

Cost LinearStep::cost(const BatchShape& shape) const { return linear_.cost(count_of(in_, shape)); }

void NormStep::run(const StepContext& context, const Team& team) const {
  norm_.run({in_.data, delta_.data, sum_.data, weight_.data(), out_.data, count_of(in_, context.shape), in_.cols, eps_},
            team);
}

Cost NormStep::cost(const BatchShape& shape) const {
  return RmsNorm::cost(count_of(in_, shape), in_.cols, delta_.data != nullptr);
}

RopeKvArgs RopeKvStep::args(const BatchShape& shape) const {
  return {qkv_.data,
          qkv_.stride,
          q_out_.data,
          static_cast<int32_t>(facts_.heads),
          static_cast<int32_t>(facts_.kv_heads),
          static_cast<int32_t>(facts_.head_dim),
          static_cast<int32_t>(facts_.rope_dims),
          facts_.rope_style,
          table_.cos.data(),
          table_.sin.data(),
          cache_.kv,
          shape};
}

void RopeKvStep::run(const StepContext& context, const Team& team) const {
  rope_.run(args(context.batch.shape(cache_.group)), team);
}

Cost RopeKvStep::cost(const BatchShape& shape) const { return rope_.cost(args(shape)); }

void AttentionStep::run(const StepContext& context, const Team& team) const {
  attention_.run({q_.data, q_.stride, out_.data, cache_.kv, context.batch.shape(cache_.group), context.workspace},
                 team);
}

Cost AttentionStep::cost(const BatchShape& shape) const { return attention_.cost(shape); }

void GluStep::run(const StepContext& context, const Team& team) const {
  glu_.run({in_.data, out_.data, count_of(in_, context.shape), out_.cols}, team);
}

Cost GluStep::cost(const BatchShape& shape) const { return Glu::cost(count_of(in_, shape), out_.cols); }

}  // namespace tern
