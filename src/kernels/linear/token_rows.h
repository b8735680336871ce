// The prepared rows of the tokens of a wide tile: an address for each without a register for each. Fourteen pointers do
// not fit into 16 general registers beside the loops' own; one pointer and the odd multiples of the stride do, since an
// address may add a register times 1, 2, 4 or 8. ISA files include this: everything has internal linkage.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern {
namespace {

constexpr int kMostTokenRows = 14;

class TokenRows {
 public:
  TokenRows(const std::byte* first, int64_t stride)
      : at_(first),
        one_(stride),
        three_(3 * stride),
        five_(5 * stride),
        seven_(7 * stride),
        nine_(9 * stride),
        eleven_(11 * stride),
        thirteen_(13 * stride) {
    // Unknown to the compiler, which would otherwise derive them from each other with instructions and registers.
    asm("" : "+r"(one_), "+r"(three_), "+r"(five_), "+r"(seven_), "+r"(nine_), "+r"(eleven_), "+r"(thirteen_));
  }
  // Row t, a constant wherever this is inlined into an unrolled loop.
  [[gnu::always_inline]] const std::byte* operator[](int t) const {
    switch (t) {
      case 0:
        return at_;
      case 1:
        return at_ + one_;
      case 2:
        return at_ + 2 * one_;
      case 3:
        return at_ + three_;
      case 4:
        return at_ + 4 * one_;
      case 5:
        return at_ + five_;
      case 6:
        return at_ + 2 * three_;
      case 7:
        return at_ + seven_;
      case 8:
        return at_ + 8 * one_;
      case 9:
        return at_ + nine_;
      case 10:
        return at_ + 2 * five_;
      case 11:
        return at_ + eleven_;
      case 12:
        return at_ + 4 * three_;
      default:
        return at_ + thirteen_;
    }
  }
  [[gnu::always_inline]] void advance(int64_t bytes) { at_ += bytes; }
  // After this addresses are made anew: kept from one use to the next they would take registers again.
  [[gnu::always_inline]] void forget() { asm("" : "+r"(at_)); }

 private:
  const std::byte* at_;
  int64_t one_, three_, five_, seven_, nine_, eleven_, thirteen_;
};

}  // namespace
}  // namespace tern
