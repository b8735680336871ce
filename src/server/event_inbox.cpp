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

void EventInbox::add(size_t choice, TextEvent&& event) {
  if (detached_) return;
  bytes_ += bytes_of(event);
  events_.push_back({choice, std::move(event)});
  wake();
  if (limit_bytes_ > 0 && bytes_ > limit_bytes_ && on_overflow_) on_overflow_();
}

void EventInbox::wake() {
  if (std::exchange(waiting_, false)) changed_.cancel();
}

asio::awaitable<bool> EventInbox::wait(std::chrono::milliseconds timeout) {
  if (empty()) {
    boost::system::error_code ignored;
    changed_.expires_after(timeout);
    waiting_ = true;
    co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    waiting_ = false;
  }
  co_return !empty();
}

void EventInbox::take(std::vector<ChoiceEvent>& events) {
  bytes_ = 0;
  events.clear();
  events_.swap(events);
}

void EventInbox::cut() {
  cut_ = true;
  wake();
}

void EventInbox::detach() {
  detached_ = true;
  on_overflow_ = nullptr;
  events_.clear();
}

void EventMailbox::post(const std::shared_ptr<EventInbox>& inbox, size_t choice, TextEvent&& event) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = letters_.empty();
    letters_.push_back({inbox, choice, std::move(event)});
  }
  if (first) asio::post(executor_, [self = shared_from_this()] { self->deliver(); });
}

void EventMailbox::deliver() {
  {
    const std::lock_guard lock(mutex_);
    delivered_.swap(letters_);
  }
  for (Letter& letter : delivered_) letter.inbox->add(letter.choice, std::move(letter.event));
  delivered_.clear();
}

}  // namespace tern
