#include "model/program.h"

#include <fmt/core.h>

#include <array>

#include "core/error.h"

namespace tern {
namespace {

constexpr std::array<std::string_view, 26> kOpNames{
    "embed",        "rms_norm",   "linear",       "rope",           "kv_write",    "attention",
    "activation",   "mul",        "add",          "select_rows",    "head_norm",   "scale",
    "route",        "experts",    "soft_cap",     "position_scale", "hidden",      "latent_key",
    "head_product", "short_conv", "head_columns", "sigmoid_gate",   "gated_delta", "add_rms_norm",
    "rope_kv",      "glu"};

std::string operand_text(const Program& program, const Operand& operand) {
  const VirtualBuffer& buffer = program.buffers[static_cast<size_t>(operand.buffer)];
  const char symbol = buffer.rows == RowCount::kTokens ? 't' : 'r';
  if (operand.begin == 0 && operand.cols == buffer.cols)
    return fmt::format("{}[{},{}]", buffer.name, symbol, operand.cols);
  return fmt::format("{}[{},{}:{}]", buffer.name, symbol, operand.begin, operand.begin + operand.cols);
}

std::string weights_text(const std::vector<WeightUse>& weights) {
  std::string text;
  for (const WeightUse& use : weights) {
    if (!text.empty()) text += " | ";
    if (use.experts > 0) text += fmt::format("{}x", use.experts);
    if (use.bias) {
      text += fmt::format("{}.bias[{}]", name_of(use.role), use.cols);
      continue;
    }
    text += use.rows > 1 ? fmt::format("{}[{},{}]", name_of(use.role), use.rows, use.cols)
                         : fmt::format("{}[{}]", name_of(use.role), use.cols);
  }
  return text;
}

std::string op_text(const Program& program, const Op& op) {
  const std::string_view name = !op.centered                     ? name_of(op.kind)
                                : op.kind == OpKind::kAddRmsNorm ? "add_layer_norm"
                                                                 : "layer_norm";
  std::string text = fmt::format("{:<13}", name);
  for (size_t o = 0; o < op.outputs.size(); ++o) text += (o ? ", " : " ") + operand_text(program, op.outputs[o]);
  if (!op.outputs.empty()) text += " =";
  for (size_t n = 0; n < op.inputs.size(); ++n) text += (n ? ", " : " ") + operand_text(program, op.inputs[n]);
  if (!op.weights.empty()) text += " * " + weights_text(op.weights);
  if (!op.biases.empty()) text += " + " + weights_text(op.biases);
  if (op.scale != 1) text += fmt::format(" * {:g}", op.scale);
  if (op.scale_length > 0) text += fmt::format(" log position / {}", op.scale_length);
  if (op.soft_cap > 0) text += fmt::format(" soft cap {:g}", op.soft_cap);
  if (op.rope != 0) text += op.rope < 0 ? " no rotation" : fmt::format(" rotation {}", op.rope);
  if (!op.causal) text += " both ways";
  if (op.by_head) text += " by head";
  if (op.cache_group >= 0) text += fmt::format(" cache{}[{}]", op.cache_group, op.layer);
  return text;
}

}  // namespace

std::string_view name_of(OpKind kind) { return kOpNames.at(static_cast<size_t>(kind)); }

std::string short_name(const Op& op) {
  if (op.weights.empty() || op.kind == OpKind::kEmbed || op.kind == OpKind::kRopeKv || op.kind == OpKind::kExperts ||
      op.kind == OpKind::kAttention || op.kind == OpKind::kShortConv || op.kind == OpKind::kGatedDelta) {
    return std::string(name_of(op.kind));
  }
  const Role first = op.weights[0].role;
  if (op.kind == OpKind::kLinear && (first == Role::kOutput || first == Role::kTokenEmbedding)) return "lm_head";
  std::string name(name_of(first));
  const size_t shared = name.find('_') + 1;
  for (size_t i = 1; i < op.weights.size(); ++i) {
    if (op.weights[i].role == first) continue;  // rows of one tensor
    const std::string_view more = name_of(op.weights[i].role).substr(shared);
    name += (more.size() > 1 ? "_" : "") + std::string(more);  // qkv, but gate_up
  }
  return name;
}

std::string to_string(const Program& program) {
  std::string text;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    text += fmt::format("{:4} {:>4} {}", i, op.layer >= 0 ? fmt::format("L{}", op.layer) : "-", op_text(program, op));
    for (const Op& part : op.prologue) text += "; its input: " + op_text(program, part);
    for (const Op& part : op.epilogue) text += "; then: " + op_text(program, part);
    text += '\n';
  }
  return text;
}

void check_program(const Program& program) {
  std::vector<bool> assigned(program.buffers.size(), false);
  auto in_range = [&](const Operand& operand) {
    TERN_CHECK(operand.buffer >= 0 && operand.buffer < static_cast<int32_t>(program.buffers.size()));
    TERN_CHECK(operand.begin >= 0 &&
               operand.begin + operand.cols <= program.buffers[static_cast<size_t>(operand.buffer)].cols);
  };
  const auto check_op = [&](const Op& op) {
    for (const Operand& input : op.inputs) {
      in_range(input);
      TERN_CHECK(assigned[static_cast<size_t>(input.buffer)], program.buffers[static_cast<size_t>(input.buffer)].name);
    }
    for (const Operand& output : op.outputs) {
      in_range(output);
      TERN_CHECK(!assigned[static_cast<size_t>(output.buffer)],
                 program.buffers[static_cast<size_t>(output.buffer)].name);
      assigned[static_cast<size_t>(output.buffer)] = true;
    }
    TERN_CHECK(op.cache_group < static_cast<int32_t>(program.caches.size()));
  };
  for (const Op& op : program.ops) for_each_part(op, check_op);
  for (const Entry& entry : program.entries) in_range(entry.result);
}

}  // namespace tern
