// What the formats with codebooks (IQ1, IQ2, IQ3) and of three values (TQ1, TQ2) have in common: a super-block of 256
// taken apart into 4-bit codes for one of three tables of values, and a small integer scale for each 16 of them.
//
// value = f16(d) * kFactor * scale * kValues[code], exact in f32 whatever the order: 11, 5 and 6 significant bits.
// Kernels multiply in these codes; reference decoders read them off. Plain: ISA files include this, and everything has
// internal linkage.
#pragma once

#include <cstdint>

namespace tern {
namespace {

struct CodebookParts {
  uint8_t codes[256];
  int8_t scales[16];
  uint16_t d;  // f16
};

// IQ2_*: sizes 8, 25, 43 of both signs. IQ1_*: eighths of -1, 0 or 1 an eighth above or below. TQ*: -1 to 2.
struct NarrowCodebook {
  static constexpr float kFactor = 0.125f;
  static constexpr int8_t kValues[16] = {8, 25, 43, -8, -25, -43, -7, -9, 1, -1, 9, 7, -1, 0, 1, 2};
  static constexpr int kSubBlock = 16;
  // What the codes of each kind are counted from.
  static constexpr int kIq2Negative = 3, kIq1 = 6, kTernary = 12;
};
// IQ3_XXS: eight sizes, and the same negative.
struct Iq3XxsCodebook {
  static constexpr float kFactor = 0.25f;
  static constexpr int8_t kValues[16] = {4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62};
  static constexpr int kSubBlock = 32;
};
// IQ3_S: the odd numbers up to 15, and the same negative.
struct Iq3SCodebook {
  static constexpr float kFactor = 1.0f;
  static constexpr int8_t kValues[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};
  static constexpr int kSubBlock = 32;
};
// Where signs are ahead of eight sizes.
constexpr int kIq3Negative = 8;

// The eighth sign is stored as the parity of seven.
inline uint8_t signs_of_seven(uint32_t seven) {
  return static_cast<uint8_t>(seven | static_cast<uint32_t>(__builtin_parity(seven)) << 7);
}

// Eight codes from an entry of a grid, 2 bits each, and their signs.
inline void take_iq2_codes(uint16_t entry, uint8_t signs, uint8_t codes[8]) {
  for (int i = 0; i < 8; ++i) {
    const int negative = (signs >> i & 1) * NarrowCodebook::kIq2Negative;
    codes[i] = static_cast<uint8_t>((entry >> 2 * i & 3) + negative);
  }
}
// Eight codes from an entry whose 2-bit fields stand for -1, 0 and 1, an eighth lower when `below`.
inline void take_iq1_codes(uint16_t entry, bool below, uint8_t codes[8]) {
  for (int i = 0; i < 8; ++i) {
    codes[i] = static_cast<uint8_t>(NarrowCodebook::kIq1 + (entry >> 2 * i & 3) * 2 + (below ? 1 : 0));
  }
}
// Four codes from an entry of 4-bit fields, and the low four signs.
inline void take_iq3_codes(uint16_t entry, int signs, uint8_t codes[4]) {
  for (int i = 0; i < 4; ++i) {
    codes[i] = static_cast<uint8_t>((entry >> 4 * i & 7) + (signs >> i & 1) * kIq3Negative);
  }
}

}  // namespace
}  // namespace tern
