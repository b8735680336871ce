// The steps of a pre-tokenizer that cut words where something matches, and what becomes of the matches. Immutable, any
// thread.
#pragma once

#include <cstdint>
#include <memory>

#include "text/hf/matches.h"
#include "text/hf/pre_tokenizer.h"

namespace tern::hf {

enum class Behavior : uint8_t { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior behavior_from(const JsonNode& name);

class Split : public WordSplitter::Step {
 public:
  // `invert`: what does not match is taken for the match.
  Split(Matches matches, Behavior behavior, bool invert = false)
      : matches_(std::move(matches)), behavior_(behavior), invert_(invert) {}
  void apply(Words& words) const override;

 private:
  Matches matches_;
  Behavior behavior_;
  bool invert_;
};

}  // namespace tern::hf
