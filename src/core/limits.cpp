#include "core/limits.h"

#include <array>

namespace tern {
namespace {

constexpr std::array kRows{
    LimitRow{"metadata-entries", Limits::kMetadataEntries, "count", "key-value pairs of a model file"},
    LimitRow{"array-elements", Limits::kArrayElements, "count", "elements of one metadata array"},
    LimitRow{"string-bytes", Limits::kStringBytes, "bytes", "one metadata string"},
    LimitRow{"array-depth", Limits::kArrayDepth, "levels", "arrays inside arrays in metadata"},
    LimitRow{"tensors", Limits::kTensors, "count", "tensors of a model file"},
    LimitRow{"tensor-name-bytes", Limits::kTensorNameBytes, "bytes", "one tensor's name"},
    LimitRow{"tensor-dims", Limits::kTensorDims, "count", "dimensions of a tensor"},
    LimitRow{"alignment", Limits::kAlignment, "bytes", "general.alignment of a GGUF file"},
    LimitRow{"safetensors-header-bytes", Limits::kSafetensorsHeaderBytes, "bytes", "JSON header of a safetensors file"},
    LimitRow{"config-bytes", Limits::kConfigBytes, "bytes", "config.json and its companions"},
    LimitRow{"json-depth", Limits::kJsonDepth, "levels", "nesting of any JSON document"},
    LimitRow{"layers", Limits::kLayers, "count", "layers of a model"},
    LimitRow{"vocabulary", Limits::kVocabulary, "count", "tokens of a vocabulary"},
    LimitRow{"model-dim", Limits::kModelDim, "elements", "any width of a model"},
    LimitRow{"context", Limits::kContext, "tokens", "context length of a model"},
    LimitRow{"special-token-bytes", Limits::kSpecialTokenBytes, "bytes", "one control or user-defined token"},
    LimitRow{"template-bytes", Limits::kTemplateBytes, "bytes", "source of a chat template"},
    LimitRow{"template-depth", Limits::kTemplateDepth, "levels", "nesting of a chat template, also at run time"},
    LimitRow{"template-eval-depth", Limits::kTemplateEvalDepth, "levels", "evaluation inside evaluation at run time"},
    LimitRow{"template-steps", Limits::kTemplateSteps, "steps", "evaluation steps of one rendering"},
    LimitRow{"template-output-bytes", Limits::kTemplateOutputBytes, "bytes", "output of one rendering"},
    LimitRow{"request-body-bytes", Limits::kRequestBodyBytes, "bytes", "body of an HTTP request"},
    LimitRow{"request-header-bytes", Limits::kRequestHeaderBytes, "bytes", "header of an HTTP request"},
    LimitRow{"connections", Limits::kConnections, "count", "open HTTP connections"},
    LimitRow{"messages", Limits::kMessages, "count", "messages of a conversation"},
    LimitRow{"stop-strings", Limits::kStopStrings, "count", "stop strings of a request"},
    LimitRow{"stop-string-bytes", Limits::kStopStringBytes, "bytes", "one stop string"},
    LimitRow{"top-logprobs", Limits::kTopLogprobs, "count", "log-probabilities reported a token"},
    LimitRow{"queued-requests", Limits::kQueuedRequests, "count", "requests waiting for the engine"},
    LimitRow{"parallel-sequences", Limits::kParallelSequences, "count", "sequences running at once"},
};

}  // namespace

std::span<const LimitRow> limits() { return kRows; }

}  // namespace tern
