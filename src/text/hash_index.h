// From a hash to the number of an entry that lies elsewhere: open addressing in slots of four bytes.
//
// A slot holds the number and, in the bits that numbers leave free, a part of the hash, so that nearly all entries that
// differ are passed without being looked at (at 150,000 entries 14 bits). The table is two thirds full, of any size and
// not a power of two: six bytes an entry. Linear probing looks at five slots on average for what is not there (Knuth
// 1998, The Art of Computer Programming 3, section 6.4), 20 bytes that mostly share a cache line. Immutable after the
// inserts, any thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tern {

class HashIndex {
 public:
  // For at most `entries` entries, numbered 0 to entries - 1.
  explicit HashIndex(size_t entries)
      : number_mask_(static_cast<uint32_t>((uint64_t{1} << std::bit_width(entries)) - 1)),
        slots_(entries + entries / 2 + 1) {}

  // The entry with this hash for which `equals(number)` holds.
  template <typename Equals>
  std::optional<uint32_t> find(uint64_t hash, const Equals& equals) const {
    const uint32_t tag = tag_of(hash);
    for (size_t at = home(hash); slots_[at] != 0; at = after(at)) {
      const uint32_t number = (slots_[at] & number_mask_) - 1;
      if ((slots_[at] & ~number_mask_) == tag && equals(number)) return number;
    }
    return std::nullopt;
  }

  enum class Inserted { kYes, kEqual, kCollides };
  // kEqual: an entry for which `equals` holds is there already, and stays. kCollides: more than kLongestChain others
  // are in the way, which means hashes that were made to collide.
  template <typename Equals>
  Inserted insert(uint64_t hash, uint32_t number, const Equals& equals) {
    const uint32_t tag = tag_of(hash);
    size_t at = home(hash);
    for (uint32_t chain = 0; slots_[at] != 0; ++chain, at = after(at)) {
      if ((slots_[at] & ~number_mask_) == tag && equals((slots_[at] & number_mask_) - 1)) return Inserted::kEqual;
      if (chain > kLongestChain) return Inserted::kCollides;
    }
    slots_[at] = tag | (number + 1);
    return Inserted::kYes;
  }

  static constexpr uint32_t kLongestChain = 1024;
  size_t bytes() const { return slots_.size() * sizeof(uint32_t); }

 private:
  // The place is made of the hash's upper half, the tag of its lower.
  uint32_t tag_of(uint64_t hash) const { return static_cast<uint32_t>(hash) & ~number_mask_; }
  size_t home(uint64_t hash) const { return static_cast<size_t>((hash >> 32) * slots_.size() >> 32); }
  size_t after(size_t at) const { return at + 1 == slots_.size() ? 0 : at + 1; }

  uint32_t number_mask_;
  std::vector<uint32_t> slots_;  // 0: empty; else the number plus one, and the tag above it
};

}  // namespace tern
