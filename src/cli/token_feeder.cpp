#include "cli/token_feeder.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "core/rng.h"

namespace tern {

TokenFeeder::TokenFeeder(Model& model, int64_t sequences, int64_t tokens_each)
    : model_(model),
      blocks_each_((tokens_each + block_tokens() - 1) / block_tokens()),
      running_(static_cast<size_t>(sequences)),
      history_(static_cast<size_t>(sequences), 0),
      batch_(model.runner().kv_groups().size()) {
  if (const int32_t blocks = model.runner().kv_groups()[0].blocks; blocks_each_ * sequences > blocks) {
    bad_input(fmt::format("[bench] {} sequences of {} tokens need {} KV blocks, the pool has {}", sequences,
                          tokens_each, blocks_each_ * sequences, blocks));
  }
  for (int64_t i = 0; i < blocks_each_ * sequences; ++i) blocks_.push_back(static_cast<int32_t>(i));
}

void TokenFeeder::rewind(int64_t depth) { std::fill(history_.begin(), history_.end(), depth); }

void TokenFeeder::fill(int64_t depth) {
  restart();
  running_ = 1;
  advance(depth);
  running_ = history_.size();
  rewind(depth);
  const int64_t filled = (depth + block_tokens() - 1) / block_tokens();
  for (size_t group = 0; group < batch_.slices.size(); ++group) {
    for (size_t s = 1; s < history_.size(); ++s) {
      for (int64_t b = 0; b < filled; ++b) {
        const auto to = static_cast<int32_t>(static_cast<int64_t>(s) * blocks_each_ + b);
        batch_.copies.push_back({.group = static_cast<int32_t>(group), .from = static_cast<int32_t>(b), .to = to});
      }
    }
  }
}

void TokenFeeder::advance(int64_t count) {
  const int64_t chunk = std::max<int64_t>(1, model_.options().max_batched_tokens / static_cast<int64_t>(running_));
  for (int64_t done = 0; done < count; done += chunk) step(std::min(chunk, count - done), done + chunk >= count);
}

void TokenFeeder::step(int64_t tokens, bool wants_logits) {
  batch_.tokens.clear();
  for (auto& group : batch_.slices) group.clear();
  batch_.wanted.clear();
  for (size_t s = 0; s < running_; ++s) {
    for (auto& group : batch_.slices) {
      group.push_back({static_cast<int32_t>(batch_.tokens.size()), static_cast<int32_t>(tokens),
                       static_cast<int32_t>(history_[s]), blocks_.data() + static_cast<int64_t>(s) * blocks_each_});
    }
    for (int64_t t = 0; t < tokens; ++t) {
      batch_.tokens.push_back(
          static_cast<int32_t>(random_bits(7, counter_++) % static_cast<uint64_t>(model_.config().vocabulary)));
    }
    if (wants_logits) batch_.wanted.push_back(static_cast<int32_t>(batch_.tokens.size()) - 1);
    history_[s] += tokens;
  }
  model_.runner().execute(batch_);
  batch_.copies.clear();
}

}  // namespace tern
