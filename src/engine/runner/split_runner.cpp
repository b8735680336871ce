#include "engine/runner/split_runner.h"

#include "core/error.h"

namespace tern {
namespace {

class SplitRunner final : public Runner {
 public:
  SplitRunner(std::unique_ptr<Runner> first, std::unique_ptr<Runner> second)
      : first_(std::move(first)), second_(std::move(second)) {
    const std::vector<KvGroup> ours = first_->kv_groups(), others = second_->kv_groups();
    TERN_CHECK(ours.size() == others.size());
    for (size_t i = 0; i < ours.size(); ++i) TERN_CHECK(ours[i].blocks == others[i].blocks);
  }

  std::span<const float> execute(const Batch& batch) override { return second_->execute(through_first(batch)); }
  bool draws(const SamplingParams& params, int32_t logprobs) const override { return second_->draws(params, logprobs); }
  int64_t count_slots() const override { return second_->count_slots(); }
  void submit(const Batch& batch) override { second_->submit(through_first(batch)); }
  StepResult finish() override { return second_->finish(); }
  std::span<const float> block_maxima() const override { return second_->block_maxima(); }
  std::vector<KvGroup> kv_groups() const override { return second_->kv_groups(); }
  int threads() const override { return first_->threads(); }
  ThreadPool* pool() override { return first_->pool(); }
  MemoryReport memory() const override;
  std::vector<OpReport> report(const Batch& batch) const override;

 private:
  // The batch with its hidden states behind the first half; its memory is kept from step to step.
  const Batch& through_first(const Batch& batch) {
    const std::span<const float> hidden = first_->execute(batch);
    behind_ = batch;
    behind_.hidden = hidden;
    return behind_;
  }

  std::unique_ptr<Runner> first_, second_;
  Batch behind_;
};

MemoryReport SplitRunner::memory() const {
  const MemoryReport a = first_->memory(), b = second_->memory();
  return {.packed_weights = a.packed_weights + b.packed_weights,
          .mapped_weights = a.mapped_weights + b.mapped_weights,
          .activations = a.activations + b.activations,
          .draws = a.draws + b.draws,
          .kv_pool = a.kv_pool + b.kv_pool};
}

std::vector<OpReport> SplitRunner::report(const Batch& batch) const {
  std::vector<OpReport> rows = first_->report(batch);
  for (OpReport& row : second_->report(batch)) rows.push_back(std::move(row));
  return rows;
}

}  // namespace

std::unique_ptr<Runner> make_split_runner(std::unique_ptr<Runner> first, std::unique_ptr<Runner> second) {
  return std::make_unique<SplitRunner>(std::move(first), std::move(second));
}

}  // namespace tern
