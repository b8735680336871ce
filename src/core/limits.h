// Every bound on what comes from outside, in one table: bytes, counts, depth, steps and time.
//
// A limit is a constant used by name where it applies and a row of limits() for `tern --help-limits`, the footer of
// `tern serve --help`, docs/api.md and the tests. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tern {

struct Limits {
  // Model files.
  static constexpr uint64_t kMetadataEntries = 65'536;
  static constexpr uint64_t kArrayElements = 16'777'216;
  static constexpr uint64_t kStringBytes = 16'777'216;
  static constexpr uint64_t kArrayDepth = 4;
  static constexpr uint64_t kTensors = 262'144;
  static constexpr uint64_t kShards = 4'096;
  static constexpr uint64_t kTensorNameBytes = 512;
  static constexpr uint64_t kTensorDims = 4;
  static constexpr uint64_t kAlignment = 65'536;
  static constexpr uint64_t kSafetensorsHeaderBytes = 100'000'000;
  static constexpr uint64_t kConfigBytes = 16'777'216;
  static constexpr uint64_t kJsonDepth = 64;
  static constexpr uint64_t kLayers = 1'024;
  static constexpr uint64_t kVocabulary = 4'194'304;
  static constexpr uint64_t kModelDim = 1'048'576;
  static constexpr uint64_t kContext = 16'777'216;
  static constexpr uint64_t kSpecialTokenBytes = 512;
  static constexpr uint64_t kTokenizerBytes = 134'217'728;
  static constexpr uint64_t kTokenizerValues = 1'048'576;
  static constexpr uint64_t kTokenizerSteps = 256;
  static constexpr uint64_t kPatternBytes = 65'536;
  static constexpr uint64_t kPackCacheBytes = 21'474'836'480;
  // Chat templates.
  static constexpr uint64_t kTemplateBytes = 1'048'576;
  static constexpr uint64_t kTemplateDepth = 64;
  static constexpr uint64_t kTemplateEvalDepth = 512;
  static constexpr uint64_t kTemplateSteps = 4'000'000;
  static constexpr uint64_t kTemplateOutputBytes = 16'777'216;
  // Requests.
  static constexpr uint64_t kRequestBodyBytes = 16'777'216;
  static constexpr uint64_t kRequestHeaderBytes = 16'384;
  static constexpr uint64_t kBodyDepth = kJsonDepth - 1;  // a template puts a list around what it gets
  static constexpr uint64_t kJsonValues = 1'048'576;      // a value takes 16 bytes and more, whatever it says
  static constexpr uint64_t kChoices = 128;
  static constexpr uint64_t kMessages = 4'096;
  static constexpr uint64_t kStopStrings = 16;
  static constexpr uint64_t kStopStringBytes = 4'096;  // 1,024 characters of up to 4
  static constexpr uint64_t kStopTokens = 128;
  static constexpr uint64_t kTopLogprobs = 1'024;
  static constexpr uint64_t kTimeoutS = 86'400;
  // The server.
  static constexpr uint64_t kConnections = 1'024;
  static constexpr uint64_t kBodiesBytes = 268'435'456;
  static constexpr uint64_t kStreamBufferBytes = 262'144;
  static constexpr uint64_t kQueuedRequests = 1'024;
  static constexpr uint64_t kParallelSequences = 1'024;
  static constexpr uint64_t kHeaderMs = 10'000;
  static constexpr uint64_t kBodyMs = 60'000;
  static constexpr uint64_t kIdleMs = 75'000;
  static constexpr uint64_t kWriteMs = 30'000;
  static constexpr uint64_t kDrainMs = 30'000;
};

enum class LimitScope : uint8_t { kModelFile, kTemplate, kRequest, kServer };

struct LimitRow {
  LimitScope scope;
  std::string_view name;
  uint64_t value;
  std::string_view unit;
  std::string_view meaning;
  std::string_view refusal;  // what happens beyond it: for the server the status and the error's code
};

std::span<const LimitRow> limits();

// The table as text, one line a limit, from `first` on.
std::string limits_text(LimitScope first = LimitScope::kModelFile);

}  // namespace tern
