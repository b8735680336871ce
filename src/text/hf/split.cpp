#include "text/hf/split.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"

namespace tern::hf {
namespace {

// Joins neighbours: a stretch that `joins(previous, stretch)` becomes part of the one before.
template <typename Joins>
void join(std::vector<Stretch>& stretches, const Joins& joins) {
  size_t kept = 0;
  bool previous = false;
  for (size_t i = 0; i < stretches.size(); ++i) {
    const Stretch stretch = stretches[i];
    if (kept > 0 && joins(previous, stretch.hit)) {
      stretches[kept - 1].begin = std::min(stretches[kept - 1].begin, stretch.begin);
      stretches[kept - 1].end = std::max(stretches[kept - 1].end, stretch.end);
    } else {
      stretches[kept++] = stretch;
    }
    previous = stretch.hit;
  }
  stretches.resize(kept);
}

bool joins_previous(bool previous, bool hit) { return hit && !previous; }

void apply_behavior(Behavior behavior, std::vector<Stretch>& stretches) {
  switch (behavior) {
    case Behavior::kRemoved:
      std::erase_if(stretches, [](const Stretch& stretch) { return stretch.hit; });
      return;
    case Behavior::kIsolated:
      return;
    case Behavior::kContiguous:
      return join(stretches, [](bool previous, bool hit) { return previous == hit; });
    case Behavior::kMergedWithPrevious:
      return join(stretches, joins_previous);
    case Behavior::kMergedWithNext:
      std::reverse(stretches.begin(), stretches.end());
      join(stretches, joins_previous);
      std::reverse(stretches.begin(), stretches.end());
      return;
  }
}

constexpr std::array<std::pair<std::string_view, Behavior>, 5> kBehaviors{{
    {"Removed", Behavior::kRemoved},
    {"Isolated", Behavior::kIsolated},
    {"MergedWithPrevious", Behavior::kMergedWithPrevious},
    {"MergedWithNext", Behavior::kMergedWithNext},
    {"Contiguous", Behavior::kContiguous},
}};

}  // namespace

Behavior behavior_from(const JsonNode& name) {
  for (const auto& [known, behavior] : kBehaviors) {
    if (known == name.string()) return behavior;
  }
  name.refuse(fmt::format("\"{}\" is no behavior", printable(name.string())));
}

void Split::apply(Words& words) const {
  std::vector<Words::Word> cut;
  cut.reserve(words.words.size() * 2);
  std::vector<Stretch> stretches;
  for (const Words::Word& word : words.words) {
    matches_.find(word.text, stretches);
    if (invert_) {
      for (Stretch& stretch : stretches) stretch.hit = !stretch.hit;
    }
    apply_behavior(behavior_, stretches);
    for (const Stretch& part : stretches) {
      if (part.begin == part.end) continue;
      cut.push_back({word.text.substr(part.begin, part.end - part.begin), word.first && part.begin == 0});
    }
  }
  words.words = std::move(cut);
}

}  // namespace tern::hf
