#include "quant/format.h"

#include <algorithm>
#include <array>

#include "core/checked.h"
#include "core/error.h"
#include "quant/bf16.h"
#include "quant/f16.h"
#include "quant/f32.h"
#include "quant/f8_e4m3.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
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
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"
#include "quant/u4_zero.h"

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
    FormatInfo{Format::kIQ1_S, "iq1_s", 19, 256, sizeof(BlockIQ1_S), "", decode_iq1_s},
    FormatInfo{Format::kIQ1_M, "iq1_m", 29, 256, sizeof(BlockIQ1_M), "", decode_iq1_m},
    FormatInfo{Format::kIQ2_XXS, "iq2_xxs", 16, 256, sizeof(BlockIQ2_XXS), "", decode_iq2_xxs},
    FormatInfo{Format::kIQ2_XS, "iq2_xs", 17, 256, sizeof(BlockIQ2_XS), "", decode_iq2_xs},
    FormatInfo{Format::kIQ2_S, "iq2_s", 22, 256, sizeof(BlockIQ2_S), "", decode_iq2_s},
    FormatInfo{Format::kIQ3_XXS, "iq3_xxs", 18, 256, sizeof(BlockIQ3_XXS), "", decode_iq3_xxs},
    FormatInfo{Format::kIQ3_S, "iq3_s", 21, 256, sizeof(BlockIQ3_S), "", decode_iq3_s},
    FormatInfo{Format::kTQ1_0, "tq1_0", 34, 256, sizeof(BlockTQ1_0), "", decode_tq1_0},
    FormatInfo{Format::kTQ2_0, "tq2_0", 35, 256, sizeof(BlockTQ2_0), "", decode_tq2_0},
    FormatInfo{Format::kNVFP4, "nvfp4", 40, 64, sizeof(BlockNVFP4), "", decode_nvfp4},
    FormatInfo{Format::kU4Zero, "u4_zero", kNoGgmlType, 32, sizeof(BlockU4Zero), "", decode_u4_zero},
    FormatInfo{Format::kF8E4M3, "f8_e4m3", kNoGgmlType, 32, sizeof(BlockF8E4M3), "", decode_f8_e4m3},
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
  if (ggml_type == kNoGgmlType) return nullptr;
  const auto row = std::ranges::find(kFormats, ggml_type, &FormatInfo::ggml_type);
  return row == kFormats.end() ? nullptr : &*row;
}

std::optional<uint64_t> encoded_bytes(Format format, uint64_t elements) {
  const FormatInfo& info = format_info(format);
  if (elements % info.block_elements != 0) return std::nullopt;
  return (Checked(elements / info.block_elements) * Checked(info.block_bytes)).value();
}

}  // namespace tern
