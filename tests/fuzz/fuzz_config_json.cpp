// libFuzzer: any bytes as config.json, read as opening a folder reads it: metadata, quantized tensors, the facts of an
// architecture, its program. Behind a zero byte may follow a safetensors file; without one there is an embedding of
// 256 rows under each of its names. Whatever it is, it ends in a model or in a bad-input error.
// Run with -malloc_limit_mb=256: a larger allocation is a finding.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "formats/hf_config.h"
#include "formats/quantized/assemble.h"
#include "formats/safetensors.h"
#include "model/archs/arch.h"

namespace {

constexpr std::array<float, 256> kEmbedding{};
// Of a program that is made: its length grows with the layers and teaches nothing more.
constexpr int64_t kMaxLayers = 8;

tern::Checkpoint with_embedding() {
  tern::Checkpoint checkpoint;
  for (const std::string_view name :
       {"model.embed_tokens.weight", "transformer.wte.weight", "wte.weight", "embeddings.word_embeddings.weight"}) {
    checkpoint.tensors.push_back(
        {name, tern::Format::kF32, {256, 1}, std::as_bytes(std::span<const float>(kEmbedding))});
  }
  return checkpoint;
}

void open(std::span<const std::byte> config, std::span<const std::byte> weights) {
  tern::Checkpoint checkpoint = weights.empty() ? with_embedding() : tern::read_safetensors(weights, "weights");
  checkpoint.kind = tern::CheckpointKind::kHuggingFace;
  checkpoint.path = "folder";
  checkpoint.metadata = tern::Metadata("[hf] folder");
  checkpoint.index_tensors();
  tern::read_config(config, "config.json", "", checkpoint);
  const auto whole = tern::assembled(std::make_shared<const tern::Checkpoint>(std::move(checkpoint)), true, 1);
  const tern::ModelConfig facts = tern::model_config(*whole);
  if (facts.layers <= kMaxLayers) tern::check_program(tern::arch_of(*whole).program(facts));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t cut = input.find('\0');
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    open(bytes.first(std::min(cut, size)), cut == input.npos ? std::span<const std::byte>() : bytes.subspan(cut + 1));
  } catch (const tern::Error& error) {
    if (error.code() != tern::ErrorCode::kBadInput) std::abort();
  }
  return 0;
}
