#include "model/blocks/short_conv.h"

namespace tern {

Operand short_convolution(ProgramBuilder& b, const ModelConfig& c, Operand x, int32_t layer, int32_t cache) {
  const Operand parts = b.linear(x, Role::kConvIn, false, layer, 3 * c.hidden, "conv_in");
  const Operand mixed = b.short_conv(parts, c.conv_length, layer, cache);
  return b.linear(mixed, Role::kConvOut, false, layer, c.hidden, "conv_out");
}

}  // namespace tern
