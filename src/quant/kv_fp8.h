// The FP8 format of KV caches, on GPUs: a head's key, or value, of one token is head_dim codes in e4m3 (core/fp8.h) and
// one f32 scale, (greatest magnitude) / 448. A head whose magnitudes are all below 2^-100 is zero; one with a number
// that is not finite gets a scale that is none, so that what attends to it is not finite either.
//
// A code is within 2^-4 of its number, or 2^-10 of the scale where that is more.
#pragma once

#include "quant/format_id.h"

namespace tern {

// Of caches only, as kKvInt8.
inline constexpr Format kKvFp8 = Format{65};

}  // namespace tern
