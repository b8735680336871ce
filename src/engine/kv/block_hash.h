// Names for the contents of KV blocks: a chain of hashes, so that equal names mean equal tokens from the first on.
//
//   root = H(model, adapter, salt)      key(i) = H(key(i - 1), tokens of block i),  key(-1) = root
//
// Names find candidates; whoever uses one compares the tokens too (kv/prefix_index.h), so a weak hash costs time and
// never correctness. Values and a stateful hasher; engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/sha256.h"

namespace tern {

using BlockKey = Digest;

// Whose prefixes these are: requests share blocks only under equal roots. Lengths are hashed before the strings, so no
// two triples run together.
BlockKey prefix_root(std::string_view model, std::string_view adapter, std::string_view salt);

class BlockHasher {
 public:
  virtual ~BlockHasher() = default;
  virtual BlockKey key(const BlockKey& parent, std::span<const int32_t> tokens) = 0;
};

class Sha256BlockHasher final : public BlockHasher {
 public:
  BlockKey key(const BlockKey& parent, std::span<const int32_t> tokens) override;

 private:
  Sha256 hash_;
};

}  // namespace tern
