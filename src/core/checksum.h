// A 64-bit checksum as fast as memory is read: for files that tern wrote itself and reads back. It finds what disks,
// crashes and copies do to bytes; it is no defence against somebody who forges them (that is core/sha256.h).
//
// Eight lanes take one little-endian word each in turn: lane = rotate(lane ^ word) * odd. Each step is a bijection of
// the lane and of the word, so that a change of a single word always changes the result; other changes go unnoticed
// once in 2^64. Pure function; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tern {

uint64_t checksum64(std::span<const std::byte> bytes);
inline uint64_t checksum64(std::string_view text) {
  return checksum64(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace tern
