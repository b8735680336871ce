// Every bound on what comes from outside, in one table: bytes, counts, depth and steps.
//
// A limit is a constant used by name where it applies and a row of limits() for `tern --help-limits`, the documentation
// and the tests.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace tern {

struct Limits {
  // Model files.
  static constexpr uint64_t kMetadataEntries = 65'536;
  static constexpr uint64_t kArrayElements = 16'777'216;
  static constexpr uint64_t kStringBytes = 16'777'216;
  static constexpr uint64_t kArrayDepth = 4;
  static constexpr uint64_t kTensors = 65'536;
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
  // Chat templates.
  static constexpr uint64_t kTemplateBytes = 1'048'576;
  static constexpr uint64_t kTemplateDepth = 64;
  static constexpr uint64_t kTemplateEvalDepth = 512;
  static constexpr uint64_t kTemplateSteps = 4'000'000;
  static constexpr uint64_t kTemplateOutputBytes = 16'777'216;
  // Requests.
  static constexpr uint64_t kRequestBodyBytes = 16'777'216;
  static constexpr uint64_t kRequestHeaderBytes = 16'384;
  static constexpr uint64_t kConnections = 1'024;
  static constexpr uint64_t kMessages = 4'096;
  static constexpr uint64_t kStopStrings = 16;
  static constexpr uint64_t kStopStringBytes = 1'024;
  static constexpr uint64_t kTopLogprobs = 1'024;
  static constexpr uint64_t kQueuedRequests = 1'024;
  static constexpr uint64_t kParallelSequences = 1'024;
};

struct LimitRow {
  std::string_view name;
  uint64_t value;
  std::string_view unit;
  std::string_view meaning;
};

std::span<const LimitRow> limits();

}  // namespace tern
