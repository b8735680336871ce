#include "engine/embedder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/error.h"

namespace tern {

Embedder::Embedder(std::unique_ptr<Runner> runner, Pooling pooling, const RunnerOptions& options)
    : runner_(std::move(runner)),
      pooling_(pooling),
      max_batched_tokens_(options.max_batched_tokens),
      block_tokens_(options.block_tokens) {
  TERN_CHECK(options.max_rows >= options.max_batched_tokens && runner_->kv_groups().size() == 1);
  blocks_.resize(static_cast<size_t>(runner_->kv_groups()[0].blocks));
  std::iota(blocks_.begin(), blocks_.end(), 0);
  max_tokens_ =
      std::min({max_batched_tokens_, options.max_model_len, static_cast<int64_t>(blocks_.size()) * block_tokens_});
}

// The first of `texts` into a batch, as many as fit.
void Embedder::fill(std::span<const std::vector<int32_t>> texts) {
  batch_.tokens.clear();
  batch_.slices[0].clear();
  batch_.wanted.clear();
  int64_t block = 0;
  for (const std::vector<int32_t>& text : texts) {
    const auto tokens = static_cast<int64_t>(text.size()), first = static_cast<int64_t>(batch_.tokens.size());
    const int64_t blocks = (tokens + block_tokens_ - 1) / block_tokens_;
    if (first + tokens > max_batched_tokens_ || block + blocks > static_cast<int64_t>(blocks_.size())) break;
    batch_.slices[0].push_back({static_cast<int32_t>(first), static_cast<int32_t>(tokens), 0, blocks_.data() + block});
    batch_.tokens.insert(batch_.tokens.end(), text.begin(), text.end());
    block += blocks;
  }
  batch_.wanted.resize(batch_.tokens.size());
  std::iota(batch_.wanted.begin(), batch_.wanted.end(), 0);
}

// rows: [tokens, hidden] of one text.
std::vector<float> Embedder::pool(std::span<const float> rows, size_t hidden) const {
  const size_t tokens = rows.size() / hidden;
  const size_t first = pooling_ == Pooling::kLast ? tokens - 1 : 0, end = pooling_ == Pooling::kFirst ? 1 : tokens;
  std::vector<double> sum(hidden);
  for (size_t t = first; t < end; ++t) {
    for (size_t i = 0; i < hidden; ++i) sum[i] += static_cast<double>(rows[t * hidden + i]);
  }
  double squares = 0;
  for (const double value : sum) squares += value * value;
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  std::vector<float> out(hidden);
  for (size_t i = 0; i < hidden; ++i) out[i] = static_cast<float>(sum[i] * scale);
  return out;
}

std::vector<std::vector<float>> Embedder::embed(std::span<const std::vector<int32_t>> texts) {
  for (const std::vector<int32_t>& text : texts) {
    if (text.empty() || static_cast<int64_t>(text.size()) > max_tokens_) {
      bad_input("[embed] a text has " + std::to_string(text.size()) + " tokens, not 1 to " +
                std::to_string(max_tokens_));
    }
  }
  std::vector<std::vector<float>> out;
  while (out.size() < texts.size()) {
    fill(texts.subspan(out.size()));
    const std::span<const float> rows = runner_->execute(batch_);
    const size_t hidden = rows.size() / batch_.tokens.size();
    for (const SequenceSlice& slice : batch_.slices[0]) {
      out.push_back(pool(
          rows.subspan(static_cast<size_t>(slice.query_begin) * hidden, static_cast<size_t>(slice.query_len) * hidden),
          hidden));
    }
  }
  return out;
}

}  // namespace tern
