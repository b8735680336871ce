// Where the events of one answer cross from the engine thread to the thread that serves the sockets.
//
// post() is for the engine thread and never blocks; everything else is for the I/O thread. Shared by the connection and
// the answer's sinks, whichever lives longer; it keeps the I/O thread's context running until the last sink is gone.
// What a stream's reader has not taken is bounded: each event beyond it calls `on_overflow`.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "api/service.h"

namespace tern {

class EventInbox : public std::enable_shared_from_this<EventInbox> {
 public:
  struct ChoiceEvent {
    size_t choice;
    TextEvent event;
  };

  // `limit_bytes` 0: no limit (an answer sent as one piece holds it all anyway).
  EventInbox(const boost::asio::any_io_executor& executor, uint64_t limit_bytes, std::function<void()> on_overflow);

  void post(size_t choice, TextEvent&& event);

  // True when there are events or the answer was cut, false when the time has passed.
  boost::asio::awaitable<bool> wait(std::chrono::milliseconds timeout);
  std::vector<ChoiceEvent> take();
  // The answer has to end now, unfinished.
  void cut();
  bool was_cut() const { return cut_; }
  // The connection is done with it.
  void detach();

 private:
  void add(size_t choice, TextEvent&& event);

  boost::asio::any_io_executor executor_;  // tracked: outstanding work
  boost::asio::steady_timer changed_;      // cancelled to wake wait()
  uint64_t limit_bytes_, bytes_ = 0;
  std::function<void()> on_overflow_;
  std::vector<ChoiceEvent> events_;
  bool cut_ = false, detached_ = false;
};

}  // namespace tern
