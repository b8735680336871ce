// Server-sent events (WHATWG HTML, section 9.2) as a client reads them: bytes in pieces of any size, events out.
//
// One a response. Fields other than `data` and comments are passed over. What one event may hold is bounded.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace tern {

class SseReader {
 public:
  static constexpr size_t kEventBytes = 16 << 20;

  explicit SseReader(std::function<void(std::string_view data)> on_event) : on_event_(std::move(on_event)) {}

  // Calls on_event for each event that `bytes` completes. Throws when one is larger than kEventBytes.
  void feed(std::string_view bytes);

 private:
  void take_line(std::string_view line);

  std::function<void(std::string_view)> on_event_;
  std::string line_, data_;
  bool has_data_ = false, after_cr_ = false;
};

}  // namespace tern
