// The formats with codebooks and of three values as the panel kernels of super-blocks see them: 4-bit codes for one of
// three tables (quant/codebook.h). So a kernel exists a table, and a format has only its way of being taken apart.
//
// ISA files include this: everything has internal linkage. Pure, any thread.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/linear/kquants_panel.h"
#include "quant/codebook.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

namespace tern {
namespace {

template <class Codebook>
struct CodebookLayout {
  static constexpr int kLowBits = 4, kHighBits = 0, kSubBlock = Codebook::kSubBlock, kZero = 64;
  static constexpr bool kMinimum = false, kTable = true;
  static constexpr float kFactor = Codebook::kFactor;
  static constexpr const int8_t (&kValues)[16] = Codebook::kValues;
};
using NarrowLayout = CodebookLayout<NarrowCodebook>;
using Iq3XxsLayout = CodebookLayout<Iq3XxsCodebook>;
using Iq3SLayout = CodebookLayout<Iq3SCodebook>;

template <class Layout, class FileBlock, Format format, void (*take_apart)(const FileBlock&, CodebookParts&)>
struct CodebookFormat : Layout {
  using Block = FileBlock;
  static constexpr Format kFormat = format;
  static void split(const Block& block, KParts& parts) {
    CodebookParts apart;
    take_apart(block, apart);
    parts.d = apart.d;
    __builtin_memcpy(parts.codes, apart.codes, sizeof parts.codes);
    constexpr int kSixteens = Layout::kSubBlock / 16;
    for (int j = 0; j < 16 / kSixteens; ++j) parts.scales[j] = static_cast<uint8_t>(apart.scales[j * kSixteens]);
  }
};
using IQ1_S = CodebookFormat<NarrowLayout, BlockIQ1_S, Format::kIQ1_S, take_apart_iq1_s>;
using IQ1_M = CodebookFormat<NarrowLayout, BlockIQ1_M, Format::kIQ1_M, take_apart_iq1_m>;
using IQ2_XXS = CodebookFormat<NarrowLayout, BlockIQ2_XXS, Format::kIQ2_XXS, take_apart_iq2_xxs>;
using IQ2_XS = CodebookFormat<NarrowLayout, BlockIQ2_XS, Format::kIQ2_XS, take_apart_iq2_xs>;
using IQ2_S = CodebookFormat<NarrowLayout, BlockIQ2_S, Format::kIQ2_S, take_apart_iq2_s>;
using TQ1_0 = CodebookFormat<NarrowLayout, BlockTQ1_0, Format::kTQ1_0, take_apart_tq1_0>;
using TQ2_0 = CodebookFormat<NarrowLayout, BlockTQ2_0, Format::kTQ2_0, take_apart_tq2_0>;
using IQ3_XXS = CodebookFormat<Iq3XxsLayout, BlockIQ3_XXS, Format::kIQ3_XXS, take_apart_iq3_xxs>;
using IQ3_S = CodebookFormat<Iq3SLayout, BlockIQ3_S, Format::kIQ3_S, take_apart_iq3_s>;

}  // namespace
}  // namespace tern
