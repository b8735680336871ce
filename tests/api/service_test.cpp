// The front of the engine: every request ends exactly once, whoever cancels, throws, fails or stops, and nobody else's
// answer changes.
#include "api/service.h"

#include <gtest/gtest.h>

#include <set>

#include <thread>

#include "api/fake_engine.h"

namespace tern {
namespace {

using namespace std::chrono_literals;
using testing::fake_engine;
using testing::FakeDevice;
using testing::Gate;

// What one request was told.
class Listener {
 public:
  std::function<void(TextEvent&&)> sink() {
    return [this](TextEvent&& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      changed_.notify_all();
    };
  }
  FinishReason finish() {
    std::unique_lock lock(mutex_);
    const auto ended = [this] { return !events_.empty() && events_.back().finish != FinishReason::kNone; };
    return changed_.wait_for(lock, 20s, ended) ? events_.back().finish : FinishReason::kNone;
  }
  void wait_events(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 20s, [&] { return events_.size() >= count; }));
  }
  std::vector<TextEvent> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::vector<int32_t> tokens() {
    std::vector<int32_t> out;
    for (const TextEvent& event : events()) {
      if (event.token >= 0) out.push_back(event.token);
    }
    return out;
  }
  size_t ends() {
    size_t count = 0;
    for (const TextEvent& event : events()) count += event.finish != FinishReason::kNone;
    return count;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TextEvent> events_;
};

Submission request(Listener& listener, int32_t first, int64_t max_tokens) {
  Submission submission{.prompt = {first}, .params = {}, .sink = listener.sink()};
  submission.params.sampling.temperature = 0;
  submission.params.max_tokens = max_tokens;
  return submission;
}

template <typename... Each>
std::vector<Submission> list(Each&&... each) {
  std::vector<Submission> out;
  (out.push_back(std::forward<Each>(each)), ...);
  return out;
}

TEST(Service, Answers) {
  FakeDevice device;
  const auto engine = fake_engine(device);
  Service service(*engine, nullptr, 16);
  Listener listener;
  const Admission admission = service.submit(list(request(listener, 10, 3)));
  ASSERT_EQ(admission.tickets.size(), 1u);
  EXPECT_EQ(listener.finish(), FinishReason::kLength);
  EXPECT_EQ(listener.tokens(), (std::vector<int32_t>{11, 12, 13}));
  for (const TextEvent& event : listener.events()) EXPECT_EQ(event.request, admission.tickets[0]);
  EXPECT_TRUE(service.wait_idle(10s));
  EXPECT_EQ(service.stats().running, 0);
  EXPECT_EQ(service.stats().kv_blocks_free, service.stats().kv_blocks);
}

TEST(Service, ManyThreadsManyRequests) {
  FakeDevice device;
  const auto engine = fake_engine(device);
  Service service(*engine, nullptr, 1024);
  constexpr int kThreads = 4, kEach = 50;
  std::vector<Listener> listeners(kThreads * kEach);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          Listener& listener = listeners[static_cast<size_t>(t * kEach + i)];
          const Admission admission = service.submit(list(request(listener, i % 32, 5)));
          if (i % 7 == 3) service.cancel(admission.tickets[0]);
        }
      });
    }
  }
  for (size_t i = 0; i < listeners.size(); ++i) {
    const FinishReason finish = listeners[i].finish();
    EXPECT_TRUE(finish == FinishReason::kLength || finish == FinishReason::kCancelled);
    EXPECT_EQ(listeners[i].ends(), 1u);
    int32_t expected = static_cast<int32_t>(i % kEach) % 32;
    for (const int32_t token : listeners[i].tokens()) EXPECT_EQ(token, ++expected);
  }
  EXPECT_TRUE(service.wait_idle(10s));
  EXPECT_EQ(service.stats().kv_blocks_free, service.stats().kv_blocks);
}

TEST(Service, CancelFreesWithinAStep) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  const auto engine = fake_engine(device);
  Service service(*engine, nullptr, 16);
  Listener leaves, stays;
  const Admission admission = service.submit(list(request(leaves, 0, 100), request(stays, 5, 8)));
  gate.allow(2);
  leaves.wait_events(2);
  service.cancel(admission.tickets[0]);
  service.cancel(999);  // nobody's
  gate.allow(1);        // the step that is already waiting at the gate
  gate.allow(1);
  EXPECT_EQ(leaves.finish(), FinishReason::kCancelled);
  EXPECT_LE(leaves.tokens().size(), 4u);
  gate.open();
  EXPECT_EQ(stays.finish(), FinishReason::kLength);
  EXPECT_EQ(stays.tokens(), (std::vector<int32_t>{6, 7, 8, 9, 10, 11, 12, 13}));
}

TEST(Service, QueueIsBoundedAndAdmitsAllOrNone) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  const auto engine = fake_engine(device, 256, 1);
  Service service(*engine, nullptr, 2);
  Listener a, b, c, d, e;
  ASSERT_EQ(service.submit(list(request(a, 0, 4))).refusal, Admission::Refusal::kNone);
  gate.allow(1);
  a.wait_events(1);  // it runs, so it does not wait any more
  EXPECT_EQ(service.submit(list(request(c, 0, 4), request(d, 0, 4), request(e, 0, 4))).refusal,
            Admission::Refusal::kQueueFull);
  EXPECT_EQ(service.submit(list(request(b, 0, 4), request(c, 0, 4))).refusal, Admission::Refusal::kNone);
  EXPECT_TRUE(service.queue_full());
  EXPECT_EQ(service.submit(list(request(d, 0, 4))).refusal, Admission::Refusal::kQueueFull);
  gate.open();
  EXPECT_EQ(a.finish(), FinishReason::kLength);
  EXPECT_EQ(b.finish(), FinishReason::kLength);
  EXPECT_EQ(c.finish(), FinishReason::kLength);
  EXPECT_TRUE(d.events().empty());
  EXPECT_FALSE(service.queue_full());
}

std::string refusal_of(Service& service, Submission submission) {
  try {
    service.submit(list(std::move(submission)));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(Service, BadRequestsAreTheCallersAlone) {
  FakeDevice device;
  const auto engine = fake_engine(device, 64);
  Service service(*engine, nullptr, 16);
  Listener listener;
  Submission bad = request(listener, 1, 4);
  bad.prompt.assign(64, 1);
  const std::string both = refusal_of(service, bad);
  EXPECT_NE(both.find("64 tokens"), std::string::npos) << both;
  EXPECT_NE(both.find("holds 64"), std::string::npos) << both;
  bad.prompt.clear();
  EXPECT_NE(refusal_of(service, bad), "");
  bad.prompt = {64};
  EXPECT_NE(refusal_of(service, bad).find("64"), std::string::npos);
  bad.prompt = {-1};
  EXPECT_NE(refusal_of(service, bad), "");
  bad.prompt = {1};
  bad.params.sampling.top_p = 2;
  EXPECT_NE(refusal_of(service, bad).find("top_p"), std::string::npos);
  EXPECT_TRUE(listener.events().empty());
  ASSERT_EQ(service.submit(list(request(listener, 1, 1'000'000))).refusal, Admission::Refusal::kNone);
  EXPECT_EQ(listener.finish(), FinishReason::kLength);
  EXPECT_EQ(listener.tokens().size(), 63u);  // what the context leaves
}

TEST(Service, AListenerThatThrowsLosesItsOwnAnswer) {
  FakeDevice device;
  const auto engine = fake_engine(device);
  Service service(*engine, nullptr, 16);
  Listener good;
  Submission throwing{.prompt = {1}, .params = {}, .sink = [](TextEvent&&) { throw std::runtime_error("deaf"); }};
  throwing.params.max_tokens = 100;
  service.submit(list(std::move(throwing), request(good, 0, 20)));
  EXPECT_EQ(good.finish(), FinishReason::kLength);
  EXPECT_EQ(good.tokens().size(), 20u);
  EXPECT_TRUE(service.wait_idle(10s));
  EXPECT_LT(service.stats().answer_tokens, 100);
}

TEST(Service, NotFiniteFailsOneRequest) {
  FakeDevice device;
  device.nan = true;
  const auto engine = fake_engine(device);
  Service service(*engine, nullptr, 16);
  Listener one, other;  // which of them has the step's first row is the scheduler's business
  service.submit(list(request(one, 0, 5), request(other, 1, 5)));
  const std::multiset<FinishReason> ends{one.finish(), other.finish()};
  EXPECT_EQ(ends, (std::multiset<FinishReason>{FinishReason::kLength, FinishReason::kError}));
}

TEST(Service, DrainFinishesWhatWasAdmitted) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  const auto engine = fake_engine(device);
  Service service(*engine, nullptr, 16);
  Listener in, late;
  service.submit(list(request(in, 0, 6)));
  service.drain();
  EXPECT_EQ(service.submit(list(request(late, 0, 6))).refusal, Admission::Refusal::kStopping);
  EXPECT_FALSE(service.wait_idle(1ms));
  gate.open();
  EXPECT_EQ(in.finish(), FinishReason::kLength);
  EXPECT_TRUE(service.wait_idle(10s));
}

TEST(Service, StopEndsEverythingOnce) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  const auto engine = fake_engine(device, 256, 2);
  Service service(*engine, nullptr, 16);
  std::vector<Listener> listeners(5);
  for (Listener& listener : listeners) service.submit(list(request(listener, 0, 200)));
  gate.allow(3);
  listeners[0].wait_events(1);
  std::jthread opener([&] {
    std::this_thread::sleep_for(20ms);
    gate.allow(2);
  });
  service.stop();
  for (Listener& listener : listeners) {
    EXPECT_EQ(listener.finish(), FinishReason::kCancelled);
    EXPECT_EQ(listener.ends(), 1u);
  }
  EXPECT_EQ(service.submit(list(request(listeners[0], 0, 1))).refusal, Admission::Refusal::kStopping);
  EXPECT_EQ(engine->stats().running, 0);
  EXPECT_EQ(engine->stats().kv_blocks_free, engine->stats().kv_blocks);
}

TEST(Service, AFailedDeviceEndsEveryStreamAndSaysSo) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  const auto engine = fake_engine(device, 256, 2);
  Service service(*engine, nullptr, 16);
  std::mutex mutex;
  std::condition_variable told;
  std::optional<Error> failure;
  service.on_failure([&](const Error& error) {
    const std::lock_guard lock(mutex);
    failure = error;
    told.notify_all();
  });
  std::vector<Listener> listeners(4);
  for (Listener& listener : listeners) service.submit(list(request(listener, 0, 200)));
  gate.allow(2);
  listeners[0].wait_events(1);
  device.fails = true;
  gate.open();
  for (Listener& listener : listeners) {
    EXPECT_EQ(listener.finish(), FinishReason::kError);
    EXPECT_EQ(listener.ends(), 1u);
    ASSERT_TRUE(listener.events().back().error);
    EXPECT_EQ(listener.events().back().error->code(), ErrorCode::kResource);
  }
  std::unique_lock lock(mutex);
  EXPECT_TRUE(told.wait_for(lock, 10s, [&] { return failure.has_value(); }));
  lock.unlock();
  EXPECT_EQ(service.submit(list(request(listeners[0], 0, 1))).refusal, Admission::Refusal::kStopping);
  bool late = false;
  service.on_failure([&](const Error&) { late = true; });
  EXPECT_TRUE(late);
}

}  // namespace
}  // namespace tern
