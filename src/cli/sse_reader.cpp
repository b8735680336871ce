#include "cli/sse_reader.h"

#include <utility>

#include "core/error.h"

namespace tern {

void SseReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (std::exchange(after_cr_, false) && bytes.front() == '\n') {  // the second half of a CRLF
      bytes.remove_prefix(1);
      continue;
    }
    const size_t end = bytes.find_first_of("\r\n");
    if (end == std::string_view::npos) {
      line_.append(bytes);
      if (line_.size() > kEventBytes) fail(ErrorCode::kFailed, "[sse] an event is larger than 16 MiB");
      return;
    }
    after_cr_ = bytes[end] == '\r';
    if (line_.empty()) {
      take_line(bytes.substr(0, end));
    } else {
      line_.append(bytes.substr(0, end));
      take_line(line_);
      line_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
}

void SseReader::take_line(std::string_view line) {
  if (line.empty()) {
    if (std::exchange(has_data_, false)) on_event_(data_);
    data_.clear();
    return;
  }
  const size_t colon = line.find(':');
  if (line.substr(0, colon) != "data") return;
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (has_data_) data_.push_back('\n');
  data_.append(value);
  has_data_ = true;
  if (data_.size() > kEventBytes) fail(ErrorCode::kFailed, "[sse] an event is larger than 16 MiB");
}

}  // namespace tern
