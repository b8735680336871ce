#include "api/stop_strings.h"

#include <algorithm>
#include <utility>

namespace tern {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopStrings::push(std::string_view text) {
  if (found_) return "";
  pending_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, pending_.find(stop));
  if (first != std::string::npos) {
    found_ = true;
    std::string out = pending_.substr(0, first);
    pending_.clear();
    return out;
  }
  const size_t sure = pending_.size() - held_back();
  std::string out = pending_.substr(0, sure);
  pending_.erase(0, sure);
  return out;
}

// The longest suffix of what is pending that some stop string begins with.
size_t StopStrings::held_back() const {
  size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, pending_.size()); n > longest; --n) {
      if (std::string_view(pending_).substr(pending_.size() - n) == std::string_view(stop).substr(0, n)) longest = n;
    }
  }
  return longest;
}

std::string StopStrings::finish() { return found_ ? "" : std::exchange(pending_, ""); }

}  // namespace tern
