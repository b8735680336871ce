// The nouns that cross the engine's border: what is asked for, and what comes back token by token. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
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

  // Whether a draw depends on the tokens so far.
  bool penalizes() const { return repetition_penalty != 1.0f || presence_penalty != 0.0f || frequency_penalty != 0.0f; }
};

// What decides when a request runs, and with whom it may share cached prefixes.
struct SchedulingParams {
  int32_t priority = 0;     // lower runs first
  uint32_t tenant = 0;      // whose request it is (an API key's number): tenants share the machine evenly
  int64_t deadline_ns = 0;  // on the engine's clock; ends with kTimeout when it passes. 0: none
  std::string cache_salt;   // opaque bytes: only requests with equal salts share cached prefixes
};

struct Request {
  RequestId id = 0;  // given by submit
  std::vector<int32_t> prompt;
  SamplingParams sampling;
  int64_t max_tokens = 0;           // answer tokens at most; 0: as many as the context leaves
  std::vector<int32_t> end_tokens;  // a sampled one of these ends the answer
  int32_t logprobs = -1;            // report this many top log-probabilities a token; -1: none
  SchedulingParams scheduling;
};

enum class FinishReason : uint8_t { kNone, kStop, kLength, kCancelled, kTimeout, kError };
std::string_view name_of(FinishReason reason);

struct TokenLogprobs {
  float logprob = 0;                           // of the sampled token: log-softmax of the raw logits
  std::vector<std::pair<int32_t, float>> top;  // most probable first, ties by id
};

// What became of a request. Times are the engine's clock; 0: it never came to that.
struct RequestReport {
  int64_t submitted_ns = 0;
  int64_t started_ns = 0;  // first scheduled
  int64_t first_token_ns = 0;
  int64_t finished_ns = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, found in the prefix cache when it started
  int64_t answer_tokens = 0;
  int32_t preemptions = 0;
  std::optional<double> joules;  // energy of its tokens (energy_account.h); nothing where no counter can be read
};

struct TokenEvent {
  RequestId request = 0;
  int32_t token = -1;  // -1: none (cancelled, timed out, failed)
  FinishReason finish = FinishReason::kNone;
  std::optional<TokenLogprobs> logprobs;
  int64_t time_ns = 0;                       // when the token was known
  std::optional<RequestReport> report = {};  // on the last event
};

}  // namespace tern
