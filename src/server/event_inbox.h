// Where the events of one answer cross from the engine thread to the thread that serves the sockets.
//
// The engine thread puts events into the server's one EventMailbox, which wakes the other thread once for all that a
// step brings; there they go to the EventInbox of their answer. post() never blocks for long; everything else is for
// the I/O thread. Inbox and mailbox are shared by the connection and the answer's sinks, whichever live longer; an
// inbox keeps the I/O thread's context running until its last sink is gone. What a stream's reader has not taken is
// bounded: each event beyond it calls `on_overflow`.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "api/service.h"

namespace tern {

class EventInbox {
 public:
  struct ChoiceEvent {
    size_t choice;
    TextEvent event;
  };

  // `limit_bytes` 0: no limit (an answer sent as one piece holds it all anyway).
  EventInbox(const boost::asio::any_io_executor& executor, uint64_t limit_bytes, std::function<void()> on_overflow);

  void add(size_t choice, TextEvent&& event);
  // True when there are events or the answer was cut, false when the time has passed.
  boost::asio::awaitable<bool> wait(std::chrono::milliseconds timeout);
  bool empty() const { return events_.empty() && !cut_; }
  // What has come, into `events`, whose memory is used again.
  void take(std::vector<ChoiceEvent>& events);
  // The answer has to end now, unfinished.
  void cut();
  bool was_cut() const { return cut_; }
  // The connection is done with it.
  void detach();

 private:
  void wake();

  boost::asio::any_io_executor executor_;  // tracked: outstanding work
  boost::asio::steady_timer changed_;      // cancelled to wake wait()
  uint64_t limit_bytes_, bytes_ = 0;
  std::function<void()> on_overflow_;
  std::vector<ChoiceEvent> events_;
  bool waiting_ = false, cut_ = false, detached_ = false;
};

class EventMailbox : public std::enable_shared_from_this<EventMailbox> {
 public:
  explicit EventMailbox(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  void post(const std::shared_ptr<EventInbox>& inbox, size_t choice, TextEvent&& event);

 private:
  struct Letter {
    std::shared_ptr<EventInbox> inbox;
    size_t choice;
    TextEvent event;
  };
  void deliver();

  boost::asio::any_io_executor executor_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
  bool called_ = false;            // deliver() is on its way
  std::vector<Letter> delivered_;  // the I/O thread's; its memory is used again
};

}  // namespace tern
