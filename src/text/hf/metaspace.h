// Metaspace: a sign (U+2581) stands for a space, and for the one that is thought before a text's first word. As a step
// of a pre-tokenizer, and its settings, which the decoder of the same name shares. Immutable, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "text/hf/pre_tokenizer.h"

namespace tern::hf {

struct MetaspaceSettings {
  enum class Prepend : uint8_t { kAlways, kFirst, kNever };

  explicit MetaspaceSettings(const JsonNode& node);

  std::string sign;
  Prepend prepend = Prepend::kAlways;
  bool split = true;
};

std::unique_ptr<const WordSplitter::Step> make_metaspace(const JsonNode& node);

}  // namespace tern::hf
