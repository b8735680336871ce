// libFuzzer: any bytes as a safetensors file load or are refused with a bad-input error; views stay inside the file.
// Run with -malloc_limit_mb=256: a larger allocation is a finding.
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "formats/safetensors.h"
#include "walk_tensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const tern::Checkpoint checkpoint = tern::read_safetensors(bytes, "input");
    tern::walk_tensors(checkpoint, bytes);
  } catch (const tern::Error& error) {
    if (error.code() != tern::ErrorCode::kBadInput) std::abort();
  }
  return 0;
}
