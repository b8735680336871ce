// The nouns that cross the engine's border: what is asked for, and what comes back token by token. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

using RequestId = uint64_t;

struct SamplingParams {
  float temperature = 1.0f;  // below 1e-4: the most probable token
  int32_t top_k = 0;         // 0: all
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;  // over prompt and answer, as in CTRL (arXiv 1909.05858)
  float presence_penalty = 0.0f;    // over the answer
  float frequency_penalty = 0.0f;   // over the answer
  uint64_t seed = 0;
  std::vector<std::pair<int32_t, float>> logit_bias;  // added to the raw logits
};

struct Request {
  RequestId id = 0;  // given by submit
  std::vector<int32_t> prompt;
  SamplingParams sampling;
  int64_t max_tokens = 0;           // answer tokens at most; 0: as many as the context leaves
  std::vector<int32_t> end_tokens;  // a sampled one of these ends the answer
  int32_t logprobs = -1;            // report this many top log-probabilities a token; -1: none
};

enum class FinishReason : uint8_t { kNone, kStop, kLength, kCancelled, kError };
std::string_view name_of(FinishReason reason);

struct TokenLogprobs {
  float logprob = 0;                           // of the sampled token: log-softmax of the raw logits
  std::vector<std::pair<int32_t, float>> top;  // most probable first, ties by id
};

struct TokenEvent {
  RequestId request = 0;
  int32_t token = -1;  // -1: none (cancelled, failed)
  FinishReason finish = FinishReason::kNone;
  std::optional<TokenLogprobs> logprobs;
  int64_t time_ns = 0;  // when the token was known
};

}  // namespace tern
