// A model as a list of operations over named weights and virtual buffers: a pure, printable value.
//
// The *source* program is what the blocks write: unfused, never changed. Passes derive the *lowered* program from it
// (model/passes/). Every op declares all that it reads and writes: buffers (each assigned by exactly one op), weights
// and cache groups. Order is the list's order. Sizes are symbolic in the tokens and wanted rows of a step.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/activation/glu.h"
#include "kernels/delta/gated_delta.h"
#include "kernels/moe/route.h"
#include "kernels/rope/rope.h"
#include "model/roles.h"

namespace tern {

enum class OpKind : uint8_t {
  // Source ops.
  kEmbed,       // out[t] = weight[token[t]] (+ weight[position[t]]) (+ row 0 of a weight)
  kRmsNorm,     // out = rms_norm(in) * weight, or layer_norm(in) * weight (+ bias)
  kLinear,      // out = in * weight^T (+ bias); several weights: stacked columns
  kRope,        // out = rotate(in)
  kKvWrite,     // cache[layer] <- (in0 = k, in1 = v)
  kAttention,   // out = attention(in, cache[layer]); weight: the heads' sinks, or none
  kActivation,  // out = act(in)
  kMul,         // out = in0 * in1
  kAdd,         // out = in0 + in1
  kSelectRows,  // the rows of `in` whose logits are wanted
  kHeadNorm,    // out = rms_norm of each head of `in` * weight
  kScale,       // out = scale * in
  kRoute,       // out = experts that a token goes to and their weights, of in = scores; weight: their bias, or none
  kExperts,     // out = weighted sum of experts' gated products of in0, by the route in1; weights: gate, up, down
  kSoftCap,     // out = soft_cap * tanh(in / soft_cap)
  // out = (1 + scale * log(1 + floor((p + 1) / scale_length))) * in, p the token's position
  kPositionScale,
  kHidden,     // out[t] = what another program ended in for that token (split_at())
  kLatentKey,  // out = the last columns of in, then rms_norm of the first ones * weight
  // out = of each head: columns of in's head that are kept as they are, then others * the head's matrix
  kHeadProduct,
  kShortConv,    // out = c * conv(b * x), in = b | c | x side by side; cache[layer] is its past
  kHeadColumns,  // out = of each head: columns of in's head
  // out = in0 * sigmoid(in1); in1 has them among the columns of each of its heads, or one for all columns
  kSigmoidGate,
  // out = gated_delta(in0 = q | k | v, in1 = z, or in0 = both by key head; last: b | a by key head); cache[layer] is
  // its
  // past; weights: convolution, decay, bias, norm
  kGatedDelta,
  // Fused ops, written by passes.
  kAddRmsNorm,  // out0 = in0 + in1, out1 = rms_norm(out0) * weight
  // out = rotate(q), cache[layer] <- (rotate(k), v); in0 = q | k | v side by side, or in0 = q, in1 = k, in2 = v; with
  // weights: of the norms of q's and of k's heads, which go before.
  kRopeKv,
  kGlu,  // out = act(gate) * up; in0 = gate | up side by side
};

std::string_view name_of(OpKind kind);

enum class RowCount : uint8_t { kTokens, kRows };

struct VirtualBuffer {
  std::string name;
  RowCount rows = RowCount::kTokens;
  int64_t cols = 0;  // f32 elements a row
};

// Columns [begin, begin + cols) of a buffer's rows.
struct Operand {
  int32_t buffer = -1;
  int64_t begin = 0;
  int64_t cols = 0;
};

struct WeightUse {
  Role role;           // kNone of a head norm: all ones
  int32_t layer = -1;  // -1: not of a layer
  int64_t rows = 0;    // outputs; 1 for vectors
  int64_t cols = 0;
  int64_t first_row = -1;  // the use is of rows [first_row, first_row + rows) of the tensor; -1: of all of it
  int64_t experts = 0;     // `rows` by `cols` of each expert, or head, in one tensor or each in its own; 0: one matrix
  float plus = 0;          // added to each element: norms that are kept as their distance from 1
  bool bias = false;       // the vector beside the role's weight (bias_name())
};

// Columns of each head of an input (kHeadProduct, kHeadColumns, the gate of kSigmoidGate), whose heads lie side by
// side.
struct HeadColumns {
  int64_t heads = 0;
  int64_t begin = 0;       // those that are taken, as many as a head's matrix, or result, has columns
  int64_t kept_begin = 0;  // those that are copied in front of the result
  int64_t kept = 0;
};

struct Op {
  OpKind kind;
  int32_t layer = -1;
  std::vector<Operand> inputs;
  std::vector<Operand> outputs;
  std::vector<WeightUse> weights;  // kLinear: matrices in column order
  std::vector<WeightUse>
      biases;                // kLinear, kExperts, norms: empty, or one a matrix (role kNone where a matrix has none)
  int32_t cache_group = -1;  // what the op reads or writes, -1: none
  float eps = 0;             // norms
  bool centered = false;     // norms: layer norms
  float scale = 1;           // kScale; kEmbed: of the rows; kPositionScale
  int64_t scale_length = 0;  // kPositionScale
  float soft_cap = 0;        // kSoftCap; kAttention: of the scores, 0: none
  RouteFacts route;          // kRoute, kExperts
  HeadColumns head_columns;
  DeltaFacts delta;    // kGatedDelta
  bool causal = true;  // kAttention: otherwise every token sees all of its sequence
  int32_t rope = 0;    // kRope: which of the model's rotations, -1: none at all
  // kAttention: it waits for the KV heads of the op before it one by one, so it may begin while others are still in
  // that op.
  bool by_head = false;
  // kLinear, written by fuse_into_linear(): an op that makes the rows of the input where they are read, so that its
  // last output is not a buffer in memory; and one that goes on with columns of the output as they are completed.
  std::vector<Op> prologue, epilogue;
  Activation activation = Activation::kSilu;
};

enum class CacheKind : uint8_t { kPagedTokens, kSlidingWindow, kLatent, kState };

// A token goes on from the state behind the one before it: as a window, its own position and that.
inline constexpr int64_t kStateReach = 2;

// Storage that lives as long as a sequence. The block pool deals in its opaque bytes; runners lay them out.
struct CacheGroup {
  CacheKind kind = CacheKind::kPagedTokens;
  std::vector<int32_t> layers;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t window = 0;
  bool chunked = false;      // windows are multiples of `window` (AttentionDesc)
  int64_t state_floats = 0;  // kState: of one layer and sequence, in each block as it is behind the block's last token
  // Which of `layers` a layer is.
  int64_t place_of(int32_t layer) const { return std::find(layers.begin(), layers.end(), layer) - layers.begin(); }
  // Heads of keys and of values that one token has in all layers.
  int64_t heads_per_token() const { return static_cast<int64_t>(layers.size()) * kv_heads * 2; }
};

struct Entry {
  std::string name;  // "logits"
  Operand result;
};

struct AttentionFacts {
  int64_t heads = 0, kv_heads = 0, head_dim = 0, window = 0;
  float scale = 0;
  int64_t rope_dims = 0;
  RopeStyle rope_style = RopeStyle::kInterleaved;
};

struct Program {
  std::vector<VirtualBuffer> buffers;
  std::vector<CacheGroup> caches;
  std::vector<Op> ops;
  std::vector<Entry> entries;
  AttentionFacts attention;
  int64_t vocabulary = 0;
};

// The op with what is fused into it, in the order of their meaning: visit(const Op&).
template <typename OpT, typename Visit>
void for_each_part(OpT& op, const Visit& visit) {
  for (auto& part : op.prologue) visit(part);
  visit(op);
  for (auto& part : op.epilogue) visit(part);
}

// What the op is called in every layer: its weights' roles, what they begin with once ("attn_qkv", "ffn_gate_up",
// "attn_norm"; "lm_head" for the product that ends in logits), else its kind's name.
std::string short_name(const Op& op);

// One line an op: "  7 L0 linear        qkv[t,960] = norm[t,576] * attn_q[576,576] | ...".
std::string to_string(const Program& program);

// Breaks TERN_CHECK when an operand is out of range, a buffer is assigned twice or read before it is assigned.
void check_program(const Program& program);

}  // namespace tern
