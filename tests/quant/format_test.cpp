// The table of formats, and sizes held against 128-bit arithmetic.
#include "quant/format.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace tern {
namespace {

TEST(Format, RowsFindThemselves) {
  std::set<uint32_t> numbers;
  for (const FormatInfo& info : formats()) {
    EXPECT_EQ(&format_info(info.format), &info);
    EXPECT_EQ(name_of(info.format), info.name);
    EXPECT_EQ(find_format(info.name), &info);
    EXPECT_NE(info.decode, nullptr);
    if (info.ggml_type == kNoGgmlType) continue;
    EXPECT_EQ(find_ggml_type(info.ggml_type), &info);
    numbers.insert(info.ggml_type);
  }
  EXPECT_EQ(numbers.size(), 26u);
  EXPECT_EQ(formats().size(), 28u) << "two of them are not GGUF's";
}

TEST(Format, UnknownIsAbsent) {
  EXPECT_EQ(find_format("q4_k_m"), nullptr);
  EXPECT_EQ(find_format(""), nullptr);
  for (const uint32_t type : {4u, 5u, 9u, 15u, 31u, 41u, kNoGgmlType}) EXPECT_EQ(find_ggml_type(type), nullptr);
}

// Element counts at which something could go wrong: around powers of two, block multiples and the ends of 64 bits.
std::vector<uint64_t> boundary_counts() {
  std::set<uint64_t> counts;
  for (int shift = 0; shift < 64; ++shift) {
    for (int delta = -2; delta <= 2; ++delta) counts.insert((uint64_t{1} << shift) + static_cast<uint64_t>(delta));
  }
  for (uint64_t i = 0; i < 1024; ++i) {
    counts.insert(i);
    counts.insert(~i);
  }
  for (const FormatInfo& info : formats()) {  // the greatest count whose bytes still fit, and its neighbours
    const uint64_t edge = UINT64_MAX / info.block_bytes;
    for (uint64_t delta = 0; delta < 5; ++delta) {
      counts.insert((edge - 2 + delta) * info.block_elements);
    }
  }
  return {counts.begin(), counts.end()};
}

TEST(Format, EncodedBytesAgreesWith128Bits) {
  using Wide = unsigned __int128;
  for (const FormatInfo& info : formats()) {
    for (const uint64_t elements : boundary_counts()) {
      const Wide bytes = static_cast<Wide>(elements / info.block_elements) * info.block_bytes;
      const bool fits = elements % info.block_elements == 0 && bytes <= UINT64_MAX;
      const std::optional<uint64_t> answer = encoded_bytes(info.format, elements);
      ASSERT_EQ(answer.has_value(), fits) << info.name << " " << elements;
      if (fits) {
        ASSERT_EQ(*answer, static_cast<uint64_t>(bytes)) << info.name << " " << elements;
      }
    }
  }
}

}  // namespace
}  // namespace tern
