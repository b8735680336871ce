#include "engine/runner/cpu_steps.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/runner/runner.h"
#include "kernels/activation/pointwise.h"

namespace tern {
void EmbedStep::embed(int64_t id, float* out) const {
  if (tied_ != nullptr) {
    tied_->read_row(id, out);
  } else {
    const FormatInfo& info = format_info(table_.format);
    const auto row_bytes = static_cast<int64_t>(table_.data.size()) / table_.rows();
    info.decode(table_.data.data() + id * row_bytes, table_.cols() / info.block_elements, out);
  }
  if (scale_ != 1) scale_row(out, scale_, out, table_.cols());
}

void EmbedStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(context.shape.tokens);
  const int64_t cols = table_.cols();
  for (int64_t t = share.begin; t < share.end; ++t) {
    embed(context.batch.tokens[static_cast<size_t>(t)], out_.data + t * out_.stride);
  }
  if (positions_.empty()) return;
  for (const SequenceSlice& slice : context.batch.slices[0]) {
    const int64_t first = slice.query_begin, end = first + slice.query_len;
    for (int64_t t = std::max(share.begin, first); t < std::min(share.end, end); ++t) {
      float* out = out_.data + t * out_.stride;
      add_row(out, positions_.data() + (slice.history_len + t - first) * cols, out, cols);
    }
  }
}

Cost EmbedStep::cost(const BatchShape& shape) const {
  const double row = static_cast<double>(table_.data.size()) / static_cast<double>(table_.rows());
  const double out = 4.0 * static_cast<double>(table_.cols()), tokens = shape.tokens;
  return {.bytes = tokens * (row + out), .activations = tokens * out};
}

void PointwiseStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(count_of(out_, context.shape));
  for (int64_t t = share.begin; t < share.end; ++t) {
    const float* a = a_.data + t * a_.stride;
    float* out = out_.data + t * out_.stride;
    if (kind_ == OpKind::kAdd) {
      add_row(a, b_.data + t * b_.stride, out, out_.cols);
    } else if (kind_ == OpKind::kScale) {
      scale_row(a, factor_, out, out_.cols);
    } else {
      soft_cap_row(a, factor_, out, out_.cols);
    }
  }
}

Cost PointwiseStep::cost(const BatchShape& shape) const {
  const auto elements = static_cast<double>(count_of(out_, shape) * out_.cols);
  const double bytes = (kind_ == OpKind::kAdd ? 12 : 8) * elements;
  return {.bytes = bytes, .ops = elements, .activations = bytes};
}

void PositionScaleStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(context.shape.tokens);
  for (const SequenceSlice& slice : context.batch.slices[0]) {
    const int64_t first = slice.query_begin, end = first + slice.query_len;
    for (int64_t t = std::max(share.begin, first); t < std::min(share.end, end); ++t) {
      const int64_t position = slice.history_len + t - first;
      const float factor = 1 + scale_ * std::log1p(static_cast<float>((position + 1) / length_));
      scale_row(in_.data + t * in_.stride, factor, out_.data + t * out_.stride, out_.cols);
    }
  }
}

Cost PositionScaleStep::cost(const BatchShape& shape) const {
  const auto elements = static_cast<double>(shape.tokens * out_.cols);
  return {.bytes = 8 * elements, .ops = elements, .activations = 8 * elements};
}

void HiddenStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(context.shape.tokens);
  for (int64_t t = share.begin; t < share.end; ++t) {
    std::memcpy(out_.data + t * out_.stride, context.batch.hidden.data() + t * out_.cols,
                static_cast<size_t>(out_.cols) * sizeof(float));
  }
}

Cost HiddenStep::cost(const BatchShape& shape) const {
  const double bytes = 8.0 * static_cast<double>(shape.tokens * out_.cols);
  return {.bytes = bytes, .activations = bytes};
}

void ActivationStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(count_of(in_, context.shape));
  for (int64_t t = share.begin; t < share.end; ++t) {
    glu_.run_row(in_.data + t * in_.stride, ones_.data(), out_.data + t * out_.stride, out_.cols);
  }
}

Cost ActivationStep::cost(const BatchShape& shape) const { return Glu::cost(count_of(in_, shape), out_.cols); }

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

LinearStep::LinearStep(Linear& linear, Place in, Place out, int workers)
    : linear_(linear), in_(in), out_(out), workers_(workers) {}

// Columns come together where whole panels fit, and where that leaves every worker something to do.
void LinearStep::divide() {
  const LinearDivision division = sink_->division();
  at_once_ = linear_.divides(division) && linear_.rows() >= workers_ * division.grain;
  if (at_once_) linear_.divide(division);
}

void LinearStep::run(const StepContext& context, const Team& team) const {
  const int64_t tokens = count_of(in_, context.shape);
  if (tokens == 0) return;
  LinearArgs args{.x = in_.data,
                  .x_stride = in_.stride,
                  .tokens = tokens,
                  .out = out_.data,
                  .out_stride = out_.stride,
                  .workspace = context.workspace};
  const auto row = [&](int64_t token, bool owner, float* scratch) {
    return source_->row(context, token, owner, scratch);
  };
  const auto done = [&](int64_t begin, int64_t end) { sink_->columns(context, begin, end); };
  if (source_ != nullptr) args.row = row;
  if (at_once_) args.done = done;
  linear_.run(args, team);
  if (epilogue_ != nullptr && !at_once_) {
    team.sync();
    epilogue_->run(context, team);
    team.sync();  // the step behind this one may begin at once
  }
}

std::string LinearStep::kernel() const {
  std::string text = linear_.kernel_names();
  if (prologue_ != nullptr) text = prologue_->kernel() + " > " + text;
  if (epilogue_ != nullptr) text += " > " + epilogue_->kernel();
  return text;
}

// What is between two fused parts is no operand: the row that a prologue makes is neither written nor read, and an
// epilogue finds the columns where they were written a moment ago.
Cost LinearStep::cost(const BatchShape& shape) const {
  const int64_t tokens = count_of(in_, shape);
  Cost sum = linear_.cost(tokens);
  const auto add = [&](const CpuStep& part, int64_t between) {
    const Cost cost = part.cost(shape);
    const double bytes = static_cast<double>(tokens * between) * sizeof(float);
    sum.bytes += cost.bytes - bytes;
    sum.activations += cost.activations - bytes;
    sum.ops += cost.ops;
  };
  if (prologue_ != nullptr) add(*prologue_, 2 * linear_.cols());
  if (epilogue_ != nullptr) add(*epilogue_, at_once_ ? linear_.rows() : 0);
  return sum;
}

NormArgs NormStep::args(const float* x, const float* delta, float* sum, float* out, int64_t tokens) const {
  return {.x = x,
          .delta = delta,
          .sum = sum,
          .weight = facts_.weight.data(),
          .out = out,
          .tokens = tokens,
          .cols = in_.cols,
          .eps = facts_.eps,
          .centered = facts_.centered,
          .bias = facts_.bias.empty() ? nullptr : facts_.bias.data()};
}

void NormStep::run(const StepContext& context, const Team& team) const {
  const int64_t rows = count_of(in_, context.shape);
  if (in_.stride == in_.cols) return norm_.run(args(in_.data, delta_.data, sum_.data, out_.data, rows), team);
  const Team::Range share = team.share(rows);  // columns of a wider buffer
  for (int64_t t = share.begin; t < share.end; ++t) {
    norm_.run(args(in_.data + t * in_.stride, nullptr, nullptr, out_.data + t * out_.stride, 1));
  }
}

// Everybody needs the row, its owner alone writes the sum that later steps read.
const float* NormStep::row(const StepContext&, int64_t token, bool owner, float* scratch) const {
  const int64_t at = token * in_.stride;
  float* sum = nullptr;
  if (delta_.data != nullptr) sum = owner ? sum_.data + at : scratch + in_.cols;
  norm_.run(args(in_.data + at, delta_.data == nullptr ? nullptr : delta_.data + at, sum, scratch, 1));
  return scratch;
}

Cost NormStep::cost(const BatchShape& shape) const {
  return RmsNorm::cost(count_of(in_, shape), in_.cols, delta_.data != nullptr);
}

RopeKvArgs RopeKvStep::args(const BatchShape& shape) const {
  return {in_.q.data,
          in_.q.stride,
          q_out_.data,
          static_cast<int32_t>(facts_.heads),
          static_cast<int32_t>(facts_.kv_heads),
          static_cast<int32_t>(facts_.head_dim),
          static_cast<int32_t>(facts_.rope_dims),
          facts_.rope_style,
          table_.cos.data(),
          table_.sin.data(),
          cache_.kv,
          shape,
          in_.k.data,
          in_.k.stride,
          in_.v.data,
          in_.v.stride,
          in_.q_norm.empty() ? nullptr : in_.q_norm.data(),
          in_.k_norm.empty() ? nullptr : in_.k_norm.data(),
          in_.norm_eps};
}

void RopeKvStep::run(const StepContext& context, const Team& team) const {
  rope_.run(args(context.batch.shape(cache_.group)), team);
  if (team.index() == 0) heads_.add_all();
}

void RopeKvStep::columns(const StepContext& context, int64_t begin, int64_t end) const {
  begin /= facts_.head_dim;
  end /= facts_.head_dim;
  rope_.run_heads(args(context.batch.shape(cache_.group)), begin, end);
  heads_.add(begin, end);
}

Cost RopeKvStep::cost(const BatchShape& shape) const { return rope_.cost(args(shape)); }

void AttentionStep::run(const StepContext& context, const Team& team) const {
  AttentionArgs args{.q = q_.data,
                     .q_stride = q_.stride,
                     .out = out_.data,
                     .kv = cache_.kv,
                     .batch = context.batch.shape(cache_.group),
                     .workspace = context.attention_workspace};
  if (!causal_) {
    args.batch.sequences = context.tokens_alone.data();
    args.batch.sequence_count = static_cast<int32_t>(context.tokens_alone.size());
  }
  const auto ready = [&](int32_t kv_head) { heads_->wait(team, kv_head, layers_); };
  if (heads_ != nullptr) args.ready = ready;
  attention_.run(args, team);
}

// Both ways there are about twice the pairs of a query and a key.
Cost AttentionStep::cost(const BatchShape& shape) const {
  Cost cost = attention_.cost(shape);
  if (!causal_) cost.ops *= 2;
  return cost;
}

void GluStep::run(const StepContext& context, const Team& team) const {
  glu_.run({in_.data, out_.data, count_of(in_, context.shape), out_.cols}, team);
}

void GluStep::columns(const StepContext& context, int64_t begin, int64_t end) const {
  glu_.run_columns({in_.data, out_.data, count_of(in_, context.shape), out_.cols}, begin, end);
}

Cost GluStep::cost(const BatchShape& shape) const { return Glu::cost(count_of(in_, shape), out_.cols); }

void BlockMaximaStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(in_.cols, kScanBlock);
  if (share.begin < share.end) columns(context, share.begin, share.end);
}

void BlockMaximaStep::columns(const StepContext& context, int64_t begin, int64_t end) const {
  const size_t blocks = RowScan::blocks(static_cast<size_t>(in_.cols));
  const auto count = static_cast<size_t>(end - begin);
  for (int64_t r = 0; r < count_of(in_, context.shape); ++r) {
    float* maxima = maxima_ + static_cast<size_t>(r) * blocks + begin / kScanBlock;
    scan_.maxima({in_.data + r * in_.stride + begin, count}, {maxima, RowScan::blocks(count)});
  }
}

Cost BlockMaximaStep::cost(const BatchShape& shape) const {
  const auto elements = static_cast<double>(count_of(in_, shape) * in_.cols);
  return {.bytes = 4 * elements, .ops = elements, .activations = 4 * elements};
}

}  // namespace tern
