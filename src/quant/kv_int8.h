// The int8 format of KV caches: a head's key, or value, of one token is head_dim codes and one scale. Pure, any thread.
//
// value = scale * code, code in [-127, 127], scale = (greatest magnitude) / 127 in f32. A head whose magnitudes are all
// below kKvInt8Tiny is zero; one with a number that is not finite gets a scale that is not finite, so that what attends
// to it is not finite either. Rounding is to nearest, ties to even.
#pragma once

#include <cstdint>

#include "quant/format_id.h"

namespace tern {

// Of caches only, so outside the enumeration: whoever goes through the formats of weights need not know it.
inline constexpr Format kKvInt8 = Format{64};

// 127 / magnitude stays finite above it, and it is nothing beside the numbers of a model.
inline constexpr float kKvInt8Tiny = 0x1p-100f;

// x: [count]; codes: [count]. Returns the scale.
float encode_kv_int8(const float* x, int64_t count, int8_t* codes);

}  // namespace tern
