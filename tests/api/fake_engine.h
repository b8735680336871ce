// An engine without a model: the token after t is t + 1, and the test decides when a step may happen and when the
// device fails. The gate makes what depends on time (a client that leaves, a reader that stops) happen in a known
// order.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "engine/engine.h"

namespace tern::testing {

// Lets steps through one by one, or all of them.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_ || allowed_ > 0; });
    if (!open_) --allowed_;
  }
  void allow(int steps) {
    const std::lock_guard lock(mutex_);
    allowed_ += steps;
    changed_.notify_all();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int allowed_ = 0;
  bool open_ = false;
};

// Opens the gate however a test ends: an engine that waits at a closed one cannot be destroyed.
class OpenAtEnd {
 public:
  explicit OpenAtEnd(Gate& gate) : gate_(gate) {}
  ~OpenAtEnd() { gate_.open(); }
  OpenAtEnd(const OpenAtEnd&) = delete;
  OpenAtEnd& operator=(const OpenAtEnd&) = delete;

 private:
  Gate& gate_;
};

struct FakeDevice {
  int32_t vocabulary = 64;
  Gate* gate = nullptr;             // null: no waiting
  std::atomic<bool> fails = false;  // the next step throws
  std::atomic<bool> nan = false;    // the next step's first row is not finite
};

class FakeRunner final : public Runner {
 public:
  FakeRunner(FakeDevice& device, int32_t blocks) : device_(device), blocks_(blocks) {}
  std::span<const float> execute(const Batch& batch) override {
    if (device_.gate != nullptr) device_.gate->pass();
    if (device_.fails) fail(ErrorCode::kResource, "[fake] the device is gone");
    const auto vocabulary = static_cast<size_t>(device_.vocabulary);
    logits_.assign(batch.wanted.size() * vocabulary, 0.0f);
    for (size_t row = 0; row < batch.wanted.size(); ++row) {
      const int32_t last = batch.tokens[static_cast<size_t>(batch.wanted[row])];
      logits_[row * vocabulary + static_cast<size_t>((last + 1) % device_.vocabulary)] = 50.0f;
    }
    if (device_.nan.exchange(false) && !logits_.empty()) {
      std::fill_n(logits_.begin(), vocabulary, std::numeric_limits<float>::quiet_NaN());
    }
    return logits_;
  }
  std::vector<KvGroup> kv_groups() const override { return {{blocks_, 0}}; }
  int threads() const override { return 1; }
  MemoryReport memory() const override { return {}; }
  std::vector<OpReport> report(const Batch&) const override { return {}; }

 private:
  FakeDevice& device_;
  int32_t blocks_;
  std::vector<float> logits_;
};

inline std::unique_ptr<Engine> fake_engine(FakeDevice& device, int64_t context = 256, int64_t max_sequences = 4) {
  constexpr int64_t kBlock = 16;
  const auto blocks = static_cast<int32_t>(context / kBlock * max_sequences);
  return std::make_unique<Engine>(std::make_unique<FakeRunner>(device, blocks),
                                  EngineOptions{.max_model_len = context,
                                                .block_tokens = kBlock,
                                                .vocabulary = device.vocabulary,
                                                .scheduler = {.max_sequences = max_sequences}},
                                  std::make_shared<SteadyClock>());
}

}  // namespace tern::testing
