// Runs the steps of a CPU executable on a team of threads.
#include <algorithm>

#include "core/clock.h"
#include "core/error.h"
#include "engine/runner/cpu_executable.h"
#include "engine/runner/runner.h"

namespace tern {
namespace {

// With many tokens the steps are run in parts, so that the pool can do without a worker whose processor is wanted
// before the whole program is through: a hundredth of a prompt's time is then lost to it, not a slice of the system's
// scheduler at each of its hundreds of waits. Few tokens are through in milliseconds.
constexpr int32_t kManyTokens = 32;
constexpr size_t kStepsOfARun = 10;  // two layers

class CpuRunner final : public Runner {
 public:
  CpuRunner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config, const Program& lowered,
            const RunnerOptions& options)
      : checkpoint_(std::move(checkpoint)),
        pool_(options.threads, options.pool),
        executable_(*checkpoint_, config, lowered, options, pool_),
        steps_(executable_.steps()) {}

  std::span<const float> execute(const Batch& batch) override;
  std::span<const float> block_maxima() const override { return block_maxima_; }
  std::vector<KvGroup> kv_groups() const override { return executable_.kv().groups(); }
  int threads() const override { return pool_.size(); }
  ThreadPool* pool() override { return &pool_; }
  MemoryReport memory() const override { return executable_.memory(); }
  PackCacheReport pack_cache() const override { return executable_.pack_cache(); }
  std::vector<OpReport> report(const Batch& batch) const override;
  void time_ops(std::vector<int64_t>* stamps_ns) override;

 private:
  void check(const StepContext& context) const;
  void run_steps(const StepContext& context, size_t first, size_t end);

  std::shared_ptr<const Checkpoint> checkpoint_;
  ThreadPool pool_;
  CpuExecutable executable_;
  std::span<const std::unique_ptr<CpuStep>> steps_;
  std::span<const float> block_maxima_;
  std::vector<int64_t>* stamps_ns_ = nullptr;
};

void CpuRunner::run_steps(const StepContext& context, size_t first, size_t end) {
  // mark(2 * i) before and mark(2 * i + 1) behind step i.
  const auto walk = [&](const Team& team, const auto& mark) {
    for (size_t i = first; i < end; ++i) {
      // The pool's own barrier stands behind the last step.
      if (i > first && !steps_[i]->begins_at_once()) team.sync();
      mark(2 * i);
      steps_[i]->run(context, team);
      mark(2 * i + 1);
    }
  };
  if (stamps_ns_ == nullptr) return pool_.run([&](const Team& team) { walk(team, [](size_t) {}); });
  pool_.run([&](const Team& team) {
    int64_t* stamps = stamps_ns_->data() + 2 * steps_.size() * static_cast<size_t>(team.index());
    walk(team, [&](size_t at) { stamps[at] = SteadyClock().now_ns(); });
  });
}

void CpuRunner::check(const StepContext& context) const {
  const RunnerOptions& options = executable_.options();
  TERN_CHECK(context.shape.tokens <= options.max_batched_tokens && context.shape.rows <= options.max_rows);
  for (const SequenceSlice& slice : context.batch.slices[0]) {
    TERN_CHECK(slice.history_len + slice.query_len <= options.max_model_len);
  }
}

std::span<const float> CpuRunner::execute(const Batch& batch) {
  const StepContext context = executable_.begin(batch);
  check(context);
  if (stamps_ns_ != nullptr) std::fill(stamps_ns_->begin(), stamps_ns_->end(), 0);
  if (!batch.copies.empty()) {
    pool_.run([&](const Team& team) { executable_.kv().copy_blocks(batch.copies, team); });
  }
  const size_t most = context.shape.tokens < kManyTokens ? steps_.size() : kStepsOfARun;
  for (size_t first = 0; first < steps_.size(); first += most) {
    run_steps(context, first, std::min(first + most, steps_.size()));
  }
  block_maxima_ = executable_.block_maxima(context.shape.rows);
  return executable_.result(context.shape);
}

std::vector<OpReport> CpuRunner::report(const Batch& batch) const {
  return report_steps(executable_.program(), steps_, batch.shape());
}

void CpuRunner::time_ops(std::vector<int64_t>* stamps_ns) {
  stamps_ns_ = stamps_ns;
  if (stamps_ns != nullptr) stamps_ns->assign(2 * steps_.size() * static_cast<size_t>(pool_.size()), 0);
}

}  // namespace

std::unique_ptr<Runner> make_cpu_runner(std::shared_ptr<const Checkpoint> checkpoint, const ModelConfig& config,
                                        const Program& lowered, const RunnerOptions& options) {
  return std::make_unique<CpuRunner>(std::move(checkpoint), config, lowered, options);
}

}  // namespace tern
