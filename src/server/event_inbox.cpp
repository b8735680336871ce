#include "server/event_inbox.h"

#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace tern {
namespace asio = boost::asio;
namespace {

// About what an event takes on the wire.
uint64_t bytes_of(const TextEvent& event) {
  constexpr uint64_t kFrame = 256, kLogprob = 96;
  return kFrame + event.text.size() + (event.logprobs ? kLogprob * (1 + event.logprobs->top.size()) : 0);
}

}  // namespace

EventInbox::EventInbox(const asio::any_io_executor& executor, uint64_t limit_bytes, std::function<void()> on_overflow)
    : executor_(asio::prefer(executor, asio::execution::outstanding_work.tracked)),
      changed_(executor),
      limit_bytes_(limit_bytes),
      on_overflow_(std::move(on_overflow)) {}

void EventInbox::post(size_t choice, TextEvent&& event) {
  asio::post(executor_, [self = shared_from_this(), choice, event = std::move(event)]() mutable {
    self->add(choice, std::move(event));
  });
}

void EventInbox::add(size_t choice, TextEvent&& event) {
  if (detached_) return;
  bytes_ += bytes_of(event);
  events_.push_back({choice, std::move(event)});
  changed_.cancel();
  if (limit_bytes_ > 0 && bytes_ > limit_bytes_ && on_overflow_) on_overflow_();
}

asio::awaitable<bool> EventInbox::wait(std::chrono::milliseconds timeout) {
  if (events_.empty() && !cut_) {
    boost::system::error_code ignored;
    changed_.expires_after(timeout);
    co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_return !events_.empty() || cut_;
}

std::vector<EventInbox::ChoiceEvent> EventInbox::take() {
  bytes_ = 0;
  return std::exchange(events_, {});
}

void EventInbox::cut() {
  cut_ = true;
  changed_.cancel();
}

void EventInbox::detach() {
  detached_ = true;
  on_overflow_ = nullptr;
  events_.clear();
}

}  // namespace tern
