// The products of a CPU executable, bound to their weights.
#include <algorithm>
#include <string>

#include "engine/runner/cpu_executable.h"

namespace tern {

// From the last op to the first: the order of the matrices in the arena, and so in sidecars.
void CpuExecutable::bind_linears() {
  for (size_t i = program_.ops.size(); i-- > 0;) {
    if (program_.ops[i].kind == OpKind::kLinear) steps_[i] = bind_linear(program_.ops[i]);
    if (program_.ops[i].kind == OpKind::kExperts) steps_[i] = bind_experts(program_.ops[i]);
    if (program_.ops[i].kind == OpKind::kHeadProduct) steps_[i] = bind_head_product(program_.ops[i]);
  }
}

std::unique_ptr<CpuStep> CpuExecutable::bind_linear(const Op& op) {
  PackedLinear& packed = linears_.emplace_back();
  std::vector<LinearPart> parts;
  std::vector<const TensorInfo*> tensors;
  std::string name;
  packed.biases.resize(op.weights.size());
  for (size_t i = 0; i < op.weights.size(); ++i) {
    const TensorInfo& tensor = weights_.tensor(op.weights[i]);
    if (i < op.biases.size() && op.biases[i].role != Role::kNone) packed.biases[i] = weights_.vector(op.biases[i]);
    const float* bias = packed.biases[i].empty() ? nullptr : packed.biases[i].data();
    parts.push_back({tensor.format, op.weights[i].rows, tensor.data.data(), bias});
    tensors.push_back(&tensor);
    name += (name.empty() ? "" : "+") + std::string(tensor.name);
  }
  packed.linear = std::make_unique<Linear>(std::move(name), op.weights[0].cols, std::move(parts), options_.kernels);
  storage_.add(*packed.linear, std::move(tensors));
  const Place out = place_out(op, 0);
  auto step = std::make_unique<LinearStep>(*packed.linear, place_in(op, 0), out, workers_);
  if (!op.prologue.empty()) step->set_prologue(bind_norm(op.prologue[0]));
  for (const Op& part : op.epilogue) {
    if (part.kind == OpKind::kRopeKv) step->set_epilogue(bind_rope_kv(part));
    if (part.kind == OpKind::kGlu) step->set_epilogue(bind_glu(part));
  }
  if (op.outputs[0].buffer == program_.entries[0].result.buffer) {
    maxima_.resize(static_cast<size_t>(options_.max_rows) * vocabulary_blocks());
    step->set_epilogue(std::make_unique<BlockMaximaStep>(RowScan(options_.kernels), out, maxima_.data()));
  }
  if (op.weights[0].role == Role::kTokenEmbedding) tied_head_ = packed.linear.get();
  return step;
}

// The product of an expert, or head, with `count` of the op's matrices, stacked.
const Linear* CpuExecutable::bind_expert(const Op& op, size_t first, size_t count, int64_t expert) {
  PackedLinear& packed = linears_.emplace_back();
  std::vector<LinearPart> parts;
  std::vector<const TensorInfo*> tensors;
  std::string name = std::string(op.kind == OpKind::kExperts ? "expert " : "head ") + std::to_string(expert) +
                     " of layer " + std::to_string(op.layer);
  packed.biases.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const WeightUse& use = op.weights[first + i];
    const TensorInfo& tensor = weights_.expert(use, expert);
    if (!op.biases.empty()) packed.biases[i] = weights_.vector(op.biases[first + i], expert);
    parts.push_back(
        {tensor.format, use.rows, tensor.data.data(), op.biases.empty() ? nullptr : packed.biases[i].data()});
    tensors.push_back(&tensor);
    name += ", " + std::string(tensor.name);
  }
  packed.linear = std::make_unique<Linear>(std::move(name), op.weights[first].cols, std::move(parts), options_.kernels);
  storage_.add(*packed.linear, std::move(tensors));
  return packed.linear.get();
}

std::unique_ptr<CpuStep> CpuExecutable::bind_experts(const Op& op) {
  std::vector<const Linear*> gate_up, down;
  for (int64_t e = 0; e < op.route.experts; ++e) {
    gate_up.push_back(bind_expert(op, 0, 2, e));
    down.push_back(bind_expert(op, 2, 1, e));
    expert_visits_.add(*gate_up.back());
    expert_visits_.add(*down.back());
  }
  return std::make_unique<ExpertsStep>(op.route, Glu(op.activation, options_.kernels), std::move(gate_up),
                                       std::move(down), place_in(op, 0), place_in(op, 1), place_out(op, 0),
                                       expert_visits_);
}

std::unique_ptr<CpuStep> CpuExecutable::bind_head_product(const Op& op) {
  std::vector<const Linear*> products;
  for (int64_t head = 0; head < op.head_columns.heads; ++head) products.push_back(bind_expert(op, 0, 1, head));
  head_workspace_bytes_ = std::max(
      head_workspace_bytes_, HeadProductStep::workspace_bytes(*products[0], options_.max_batched_tokens, workers_));
  return std::make_unique<HeadProductStep>(op.head_columns, std::move(products), place_in(op, 0), place_out(op, 0));
}

}  // namespace tern
