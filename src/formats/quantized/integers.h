// Matrices of small integers: w = scale * (code - zero), scale and zero shared by a group of a row's columns. Internal
// to formats: what GPTQ, AWQ and compressed-tensors' integers have in common.
//
// Encoded as, in order of preference, all exact but the last two:
//   q4_0     codes whose distance from the zero is in [-8, 7] everywhere: symmetric ones of 4 bits, all of 2 and 3
//   u4_zero  codes up to 4 bits
//   q8_0     codes whose distance from the zero fits 8 bits
//   f16, bf16  rounded once, in the type of the scales (f32 ones: bf16): columns of a group that lie apart (act-order),
//            rows that are no multiple of 32, scales that f16 does not hold, 8 bits with other zeros
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/quantized/matrix.h"

namespace tern {

// How a method stores its integers.
class IntegerStorage {
 public:
  virtual ~IntegerStorage() = default;
  // Codes of rows [begin, end), in [0, 2^bits): codes[row - begin][column].
  virtual void codes(int64_t begin, int64_t end, uint8_t* codes) const = 0;
  // Of group `group` of row `row`, in [0, 2^bits).
  virtual int zero(int64_t row, int64_t group) const = 0;
};

struct IntegerShape {
  int64_t rows = 0, cols = 0;
  int bits = 4;
  int64_t group = 0;              // columns; the last one may be shorter
  std::vector<int32_t> group_of;  // [cols] where groups are not neighbours; else empty
  int64_t groups() const { return (cols + group - 1) / group; }
};

// `scales` are [rows, groups], or [groups, rows] when `scales_by_group`, or one number for all.
std::unique_ptr<QuantizedMatrix> integer_matrix(std::string name, IntegerShape shape, const TensorInfo& scales,
                                                bool scales_by_group, std::unique_ptr<IntegerStorage> storage);

// Which of `groups` groups each input is in, as an I32 tensor of the module says it; empty where groups are neighbours
// of `group` inputs.
std::vector<int32_t> groups_apart(const ModuleTensors& module, const StoredTensor& g_idx, int64_t groups,
                                  int64_t group);

// The field of `bits` bits that begins `bit` bits into words that are `stride` words apart.
inline int field_at(std::span<const std::byte> words, int64_t first, int64_t stride, int64_t bit, int bits) {
  const int64_t word = bit / 32, shift = bit % 32;
  uint64_t both = word_at(words, first + word * stride);
  if (shift + bits > 32) both |= static_cast<uint64_t>(word_at(words, first + (word + 1) * stride)) << 32;
  return static_cast<int>(both >> shift & ((1u << bits) - 1));
}

}  // namespace tern
