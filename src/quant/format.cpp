#include "quant/format.h"

#include <algorithm>
#include <array>

#include "core/checked.h"
#include "core/error.h"
#include "quant/bf16.h"
#include "quant/f16.h"
#include "quant/f32.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"

namespace tern {
namespace {

constexpr std::array kFormats{
    FormatInfo{Format::kF32, "f32", 0, 1, sizeof(BlockF32), "F32", decode_f32},
    FormatInfo{Format::kF16, "f16", 1, 1, sizeof(BlockF16), "F16", decode_f16},
    FormatInfo{Format::kBF16, "bf16", 30, 1, sizeof(BlockBF16), "BF16", decode_bf16},
    FormatInfo{Format::kQ4_0, "q4_0", 2, 32, sizeof(BlockQ4_0), "", decode_q4_0},
    FormatInfo{Format::kQ4_1, "q4_1", 3, 32, sizeof(BlockQ4_1), "", decode_q4_1},
    FormatInfo{Format::kQ5_0, "q5_0", 6, 32, sizeof(BlockQ5_0), "", decode_q5_0},
    FormatInfo{Format::kQ5_1, "q5_1", 7, 32, sizeof(BlockQ5_1), "", decode_q5_1},
    FormatInfo{Format::kQ8_0, "q8_0", 8, 32, sizeof(BlockQ8_0), "", decode_q8_0},
    FormatInfo{Format::kQ2_K, "q2_k", 10, 256, sizeof(BlockQ2_K), "", decode_q2_k},
    FormatInfo{Format::kQ3_K, "q3_k", 11, 256, sizeof(BlockQ3_K), "", decode_q3_k},
    FormatInfo{Format::kQ4_K, "q4_k", 12, 256, sizeof(BlockQ4_K), "", decode_q4_k},
    FormatInfo{Format::kQ5_K, "q5_k", 13, 256, sizeof(BlockQ5_K), "", decode_q5_k},
    FormatInfo{Format::kQ6_K, "q6_k", 14, 256, sizeof(BlockQ6_K), "", decode_q6_k},
    FormatInfo{Format::kIQ4_NL, "iq4_nl", 20, 32, sizeof(BlockIQ4_NL), "", decode_iq4_nl},
    FormatInfo{Format::kIQ4_XS, "iq4_xs", 23, 256, sizeof(BlockIQ4_XS), "", decode_iq4_xs},
    FormatInfo{Format::kMXFP4, "mxfp4", 39, 32, sizeof(BlockMXFP4), "", decode_mxfp4},
};

constexpr bool in_order() {
  for (size_t i = 0; i < kFormats.size(); ++i) {
    if (static_cast<size_t>(kFormats[i].format) != i) return false;
  }
  return true;
}
static_assert(in_order(), "formats() follows the order of the enumeration");

}  // namespace

std::span<const FormatInfo> formats() { return kFormats; }

const FormatInfo& format_info(Format format) {
  const auto index = static_cast<size_t>(format);
  TERN_CHECK(index < kFormats.size(), "format " + std::to_string(index));
  return kFormats[index];
}

const FormatInfo* find_format(std::string_view name) {
  const auto row = std::ranges::find(kFormats, name, &FormatInfo::name);
  return row == kFormats.end() ? nullptr : &*row;
}

const FormatInfo* find_ggml_type(uint32_t ggml_type) {
  const auto row = std::ranges::find(kFormats, ggml_type, &FormatInfo::ggml_type);
  return row == kFormats.end() ? nullptr : &*row;
}

std::optional<uint64_t> encoded_bytes(Format format, uint64_t elements) {
  const FormatInfo& info = format_info(format);
  if (elements % info.block_elements != 0) return std::nullopt;
  return (Checked(elements / info.block_elements) * Checked(info.block_bytes)).value();
}

}  // namespace tern
