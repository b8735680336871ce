#include <algorithm>

#include "core/error.h"
#include "model/passes/passes.h"

namespace tern {
namespace {

void keep_layers(Program& program, int32_t first, int32_t end) {
  for (CacheGroup& group : program.caches) {
    std::erase_if(group.layers, [&](int32_t layer) { return layer < first || layer >= end; });
  }
}

}  // namespace

ProgramHalves split_at(const Program& source, int32_t layer) {
  const auto at = std::find_if(source.ops.begin(), source.ops.end(), [&](const Op& op) { return op.layer == layer; });
  TERN_CHECK(layer > 0 && at != source.ops.end());
  // Between two layers nothing passes but the residual stream, which a layer's first op reads.
  const Operand hidden = at->inputs[0];
  ProgramHalves halves{source, source};
  Program &first = halves.first, &second = halves.second;
  first.ops.assign(source.ops.begin(), at);
  first.entries = {{"hidden", hidden}};
  Op given{.kind = OpKind::kHidden};
  given.outputs = {hidden};
  second.ops.assign(1, given);
  second.ops.insert(second.ops.end(), at, source.ops.end());
  keep_layers(first, 0, layer);
  keep_layers(second, layer, INT32_MAX);
  first = drop_unused_buffers(first);
  second = drop_unused_buffers(second);
  check_program(first);
  check_program(second);
  return halves;
}

}  // namespace tern
