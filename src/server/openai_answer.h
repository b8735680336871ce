// Events -> OpenAI's JSON: chat messages or plain completions, as one body or as a stream of chunks.
//
// One writer an answer, made by the route, used by its connection. What leaves is valid UTF-8 whatever came in. The
// tokens of its log-probabilities are those of its text: what a stop string cut off is in neither.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/exchange.h"
#include "text/tokenizer.h"

namespace tern {

struct AnswerFacts {
  bool chat = true, stream = false, include_usage = false, continuous_usage = false, logprobs = false;
  std::string id, model;
  int64_t created = 0;
  size_t choices = 1, choices_per_prompt = 1;
  int64_t prompt_tokens = 0;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: tokens have no text
};

std::unique_ptr<AnswerWriter> make_openai_answer(AnswerFacts facts);

}  // namespace tern
