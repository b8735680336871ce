// One request's state inside the engine. Owned by the engine, seen by the scheduler; engine thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/request.h"

namespace tern {

struct Sequence {
  Request request;
  std::vector<int32_t> answer;  // sampled so far
  int64_t computed = 0;         // tokens whose keys and values are in the cache
  std::vector<int32_t> blocks;  // block table
  bool cancelled = false;
  RequestReport report;

  int64_t known() const { return static_cast<int64_t>(request.prompt.size() + answer.size()); }
  // Tokens that are known but not computed yet: a prompt's rest, or the one sampled last.
  int64_t pending() const { return known() - computed; }
  int32_t token(int64_t position) const {
    const auto prompt = static_cast<int64_t>(request.prompt.size());
    return position < prompt ? request.prompt[static_cast<size_t>(position)]
                             : answer[static_cast<size_t>(position - prompt)];
  }
  // Tokens that will ever be in the cache: the last sampled one need not be computed.
  int64_t most_tokens() const { return static_cast<int64_t>(request.prompt.size()) + request.max_tokens - 1; }
};

}  // namespace tern
