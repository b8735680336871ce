#include "engine/runner/gpu_fusions.h"

#include <algorithm>
#include <utility>

#include "kernels/linear/decode_product.h"

namespace tern {
namespace {

constexpr int32_t kNone = -1;

// Who writes and who reads the buffers of a program.
class BufferUses {
 public:
  explicit BufferUses(const Program& program) : uses_(program.buffers.size()) {
    for (size_t i = 0; i < program.ops.size(); ++i) {
      for (const Operand& input : program.ops[i].inputs) of(input).readers.push_back(static_cast<int32_t>(i));
      for (const Operand& output : program.ops[i].outputs) of(output).writer = static_cast<int32_t>(i);
    }
    for (const Entry& entry : program.entries) of(entry.result).is_result = true;
  }

  int32_t writer(const Operand& operand) const { return at(operand).writer; }
  bool is_result(const Operand& operand) const { return at(operand).is_result; }
  const std::vector<int32_t>& readers(const Operand& operand) const { return at(operand).readers; }

 private:
  struct Uses {
    int32_t writer = kNone;
    std::vector<int32_t> readers;
    bool is_result = false;
  };
  Uses& of(const Operand& operand) { return uses_[static_cast<size_t>(operand.buffer)]; }
  const Uses& at(const Operand& operand) const { return uses_[static_cast<size_t>(operand.buffer)]; }

  std::vector<Uses> uses_;
};

class Finder {
 public:
  Finder(const Program& program, DecodeKv kv, const std::function<bool(const Op&)>& few)
      : program_(program), kv_(kv), few_(few), uses_(program), found_(no_gpu_fusions(program)) {}

  GpuFusions find() {
    for (size_t i = 0; i < program_.ops.size(); ++i) {
      const int32_t product = product_before(program_.ops[i]);
      if (product == kNone || !fits(program_.ops[i], product)) continue;
      found_.product[i] = product;
      if (program_.ops[i].kind != OpKind::kAddRmsNorm) continue;
      for (int32_t reader : uses_.readers(program_.ops[i].outputs[1])) {
        found_.norm[static_cast<size_t>(reader)] = static_cast<int32_t>(i);
      }
    }
    return std::move(found_);
  }

 private:
  const Op& op(int32_t index) const { return program_.ops[static_cast<size_t>(index)]; }
  bool is_few(int32_t index) const { return index != kNone && op(index).kind == OpKind::kLinear && few_(op(index)); }

  // The product whose result is read by this op alone.
  int32_t product_before(const Op& tail) const {
    const size_t from = tail.kind == OpKind::kAddRmsNorm ? 1 : 0;
    if (tail.inputs.size() != from + 1) return kNone;
    const Operand& operand = tail.inputs[from];
    const int32_t writer = uses_.writer(operand);
    if (!is_few(writer) || uses_.is_result(operand) || uses_.readers(operand).size() != 1) return kNone;
    return writer;
  }

  bool fits(const Op& tail, int32_t product) const {
    const int64_t rows = op(product).outputs[0].cols;
    const AttentionFacts& facts = program_.attention;
    switch (tail.kind) {
      case OpKind::kGlu:
        return decode_glu_fits(rows);
      case OpKind::kRopeKv:
        return tail.weights.empty() &&
               decode_rope_fits(facts.head_dim, tail.rope < 0 ? 0 : facts.rope_dims, facts.rope_style, kv_);
      case OpKind::kAddRmsNorm:
        return decode_residual_fits(rows) && norm_fits(tail, product);
      default:
        return false;
    }
  }

  // The other summand is there before the product, and everyone who reads the norm can divide.
  bool norm_fits(const Op& tail, int32_t product) const {
    const Operand& normed = tail.outputs[1];
    if (uses_.writer(tail.inputs[0]) > product || uses_.is_result(normed)) return false;
    const std::vector<int32_t>& readers = uses_.readers(normed);
    return !readers.empty() &&
           std::all_of(readers.begin(), readers.end(), [&](int32_t reader) { return is_few(reader); });
  }

  const Program& program_;
  DecodeKv kv_;
  const std::function<bool(const Op&)>& few_;
  BufferUses uses_;
  GpuFusions found_;
};

}  // namespace

GpuFusions no_gpu_fusions(const Program& program) {
  return {std::vector<int32_t>(program.ops.size(), kNone), std::vector<int32_t>(program.ops.size(), kNone)};
}

GpuFusions find_gpu_fusions(const Program& program, DecodeKv kv, const std::function<bool(const Op&)>& few) {
  return Finder(program, kv, few).find();
}

Program with_fused_lifetimes(const Program& program, const GpuFusions& fusions) {
  Program longer = program;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (fusions.product[i] == kNone) continue;
    const auto& inputs = program.ops[static_cast<size_t>(fusions.product[i])].inputs;
    longer.ops[i].inputs.insert(longer.ops[i].inputs.end(), inputs.begin(), inputs.end());
  }
  return longer;
}

}  // namespace tern
