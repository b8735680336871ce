// The AMX rows of the linear and attention families, compiled for tile registers in software
// (emulated/kernels/tiles_amx.h). Empty on processors without AVX-512.
#pragma once

#include <vector>

#include "kernels/attention/attention_impl.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/selection.h"

namespace tern {

extern const LinearImplSpan kEmulatedAmx;
extern const LinearImplSpan kEmulatedAmxKquants;
extern const LinearImplSpan kEmulatedAmxCodebooks;
extern const LinearImplSpan kEmulatedAmxBf16;
extern const AttentionImplSpan kEmulatedAttentionAmx;

namespace test {

// Those that run here: only tiles are emulated.
inline std::vector<const AttentionImpl*> emulated_attention_impls() {
  std::vector<const AttentionImpl*> all;
  for (int i = 0; i < kEmulatedAttentionAmx.count; ++i) {
    const AttentionImpl* row = kEmulatedAttentionAmx.rows + i;
    if ((row->needs & ~(detect_isa() | kIsaAmxBf16)) == 0) all.push_back(row);
  }
  return all;
}
inline std::vector<const LinearImpl*> emulated_amx_impls() {
  std::vector<const LinearImpl*> all;
  const uint32_t isa = detect_isa() | kIsaAmxInt8 | kIsaAmxBf16;
  for (const LinearImplSpan* span : {&kEmulatedAmx, &kEmulatedAmxKquants, &kEmulatedAmxCodebooks, &kEmulatedAmxBf16}) {
    for (int i = 0; i < span->count; ++i) {
      if ((span->rows[i].needs & ~isa) == 0) all.push_back(span->rows + i);
    }
  }
  return all;
}

}  // namespace test
}  // namespace tern
