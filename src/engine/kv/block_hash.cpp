#include "engine/kv/block_hash.h"

namespace tern {
namespace {

template <typename T>
std::span<const char> bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

BlockKey prefix_root(std::string_view model, std::string_view adapter, std::string_view salt) {
  Sha256 hash;
  for (const std::string_view part : {model, adapter, salt}) {
    const uint64_t size = part.size();
    hash.update(bytes_of(std::span<const uint64_t>(&size, 1)));
    hash.update(std::span<const char>(part.data(), part.size()));
  }
  return hash.digest();
}

BlockKey Sha256BlockHasher::key(const BlockKey& parent, std::span<const int32_t> tokens) {
  hash_.update(bytes_of(std::span<const uint8_t>(parent)));
  hash_.update(bytes_of(tokens));
  return hash_.digest();
}

}  // namespace tern
