#include "core/limits.h"

#include <fmt/core.h>

#include <array>

namespace tern {
namespace {

using enum LimitScope;

constexpr std::array kRows{
    LimitRow{kModelFile, "metadata-entries", Limits::kMetadataEntries, "count", "key-value pairs of a model file",
             "exit code 2"},
    LimitRow{kModelFile, "array-elements", Limits::kArrayElements, "count", "elements of one metadata array",
             "exit code 2"},
    LimitRow{kModelFile, "string-bytes", Limits::kStringBytes, "bytes", "one metadata string", "exit code 2"},
    LimitRow{kModelFile, "array-depth", Limits::kArrayDepth, "levels", "arrays inside arrays in metadata",
             "exit code 2"},
    LimitRow{kModelFile, "tensors", Limits::kTensors, "count", "tensors of a model", "exit code 2"},
    LimitRow{kModelFile, "shards", Limits::kShards, "count", "files that one model lies in", "exit code 2"},
    LimitRow{kModelFile, "tensor-name-bytes", Limits::kTensorNameBytes, "bytes", "one tensor's name", "exit code 2"},
    LimitRow{kModelFile, "tensor-dims", Limits::kTensorDims, "count", "dimensions of a tensor", "exit code 2"},
    LimitRow{kModelFile, "alignment", Limits::kAlignment, "bytes", "general.alignment of a GGUF file", "exit code 2"},
    LimitRow{kModelFile, "safetensors-header-bytes", Limits::kSafetensorsHeaderBytes, "bytes",
             "JSON header of a safetensors file", "exit code 2"},
    LimitRow{kModelFile, "config-bytes", Limits::kConfigBytes, "bytes", "config.json and its companions",
             "exit code 2"},
    LimitRow{kModelFile, "json-depth", Limits::kJsonDepth, "levels", "nesting of any JSON document", "exit code 2"},
    LimitRow{kModelFile, "layers", Limits::kLayers, "count", "layers of a model", "exit code 2"},
    LimitRow{kModelFile, "vocabulary", Limits::kVocabulary, "count", "tokens of a vocabulary", "exit code 2"},
    LimitRow{kModelFile, "model-dim", Limits::kModelDim, "elements", "any width of a model", "exit code 2"},
    LimitRow{kModelFile, "context", Limits::kContext, "tokens", "context length of a model", "exit code 2"},
    LimitRow{kModelFile, "special-token-bytes", Limits::kSpecialTokenBytes, "bytes",
             "one control or user-defined token", "exit code 2"},
    LimitRow{kModelFile, "tokenizer-bytes", Limits::kTokenizerBytes, "bytes", "tokenizer.json", "exit code 2"},
    LimitRow{kModelFile, "tokenizer-values", Limits::kTokenizerValues, "count",
             "values of tokenizer.json beside vocabulary and merges", "exit code 2"},
    LimitRow{kModelFile, "tokenizer-steps", Limits::kTokenizerSteps, "count",
             "normalizers, pre-tokenizers or decoders of tokenizer.json", "exit code 2"},
    LimitRow{kModelFile, "pattern-bytes", Limits::kPatternBytes, "bytes", "one pattern of tokenizer.json",
             "exit code 2"},
    LimitRow{kModelFile, "pack-cache-bytes", Limits::kPackCacheBytes, "bytes",
             "packed weights in the cache folder (--pack-cache-bytes)", "the least recently used go"},
    LimitRow{kTemplate, "template-bytes", Limits::kTemplateBytes, "bytes", "source of a chat template", "exit code 2"},
    LimitRow{kTemplate, "template-depth", Limits::kTemplateDepth, "levels",
             "nesting of a chat template, also at run time", "400 template_refused"},
    LimitRow{kTemplate, "template-eval-depth", Limits::kTemplateEvalDepth, "levels",
             "evaluation inside evaluation at run time", "400 template_refused"},
    LimitRow{kTemplate, "template-steps", Limits::kTemplateSteps, "steps", "evaluation steps of one rendering",
             "400 template_refused"},
    LimitRow{kTemplate, "template-output-bytes", Limits::kTemplateOutputBytes, "bytes", "output of one rendering",
             "400 template_refused"},
    LimitRow{kRequest, "request-header-bytes", Limits::kRequestHeaderBytes, "bytes", "header of an HTTP request",
             "431 header_too_large"},
    LimitRow{kRequest, "request-body-bytes", Limits::kRequestBodyBytes, "bytes", "body of an HTTP request",
             "413 body_too_large"},
    LimitRow{kRequest, "body-depth", Limits::kBodyDepth, "levels", "nesting of a body", "400 invalid_json"},
    LimitRow{kRequest, "json-values", Limits::kJsonValues, "count", "values of a body", "400 invalid_json"},
    LimitRow{kRequest, "messages", Limits::kMessages, "count", "messages of a conversation", "400 invalid_value"},
    LimitRow{kRequest, "choices", Limits::kChoices, "count", "answers of one request: prompts times n",
             "400 too_many_choices"},
    LimitRow{kRequest, "stop-strings", Limits::kStopStrings, "count", "stop strings of a request", "400 invalid_value"},
    LimitRow{kRequest, "stop-string-bytes", Limits::kStopStringBytes, "bytes", "one stop string: 1,024 characters",
             "400 invalid_value"},
    LimitRow{kRequest, "stop-tokens", Limits::kStopTokens, "count", "stop_token_ids of a request", "400 invalid_value"},
    LimitRow{kRequest, "top-logprobs", Limits::kTopLogprobs, "count",
             "log-probabilities a token that the engine reports; a request may ask for 20", "400 invalid_value"},
    LimitRow{kRequest, "timeout-s", Limits::kTimeoutS, "s", "a request's own timeout at most", "400 invalid_value"},
    LimitRow{kServer, "connections", Limits::kConnections, "count", "open HTTP connections",
             "503 too_many_connections"},
    LimitRow{kServer, "bodies-bytes", Limits::kBodiesBytes, "bytes", "request bodies of all connections in memory",
             "503 overloaded"},
    LimitRow{kServer, "stream-buffer-bytes", Limits::kStreamBufferBytes, "bytes",
             "of a stream that its reader has not taken", "the stream is closed"},
    LimitRow{kServer, "queued-requests", Limits::kQueuedRequests, "count", "requests waiting for the engine",
             "429 queue_full"},
    LimitRow{kServer, "parallel-sequences", Limits::kParallelSequences, "count",
             "sequences running at once (--max-num-seqs)", "they wait"},
    LimitRow{kServer, "header-ms", Limits::kHeaderMs, "ms", "from a request's first byte to the end of its header",
             "408 timeout"},
    LimitRow{kServer, "body-ms", Limits::kBodyMs, "ms", "for the body", "408 timeout"},
    LimitRow{kServer, "idle-ms", Limits::kIdleMs, "ms", "between two requests of a connection",
             "the connection is closed"},
    LimitRow{kServer, "write-ms", Limits::kWriteMs, "ms", "for one write to a client", "the connection is closed"},
    LimitRow{kServer, "drain-ms", Limits::kDrainMs, "ms", "for running answers after SIGTERM", "503 shutting_down"},
};

}  // namespace

std::span<const LimitRow> limits() { return kRows; }

std::string limits_text(LimitScope first) {
  std::string out;
  for (const LimitRow& row : kRows) {
    if (row.scope < first) continue;
    out += fmt::format("{:<25} {:>11} {:<9} {}; beyond: {}\n", row.name, row.value, row.unit, row.meaning, row.refusal);
  }
  return out;
}

}  // namespace tern
