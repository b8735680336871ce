// The facts about one model, read from its checkpoint's metadata by its architecture. Plain values; written once on
// loading.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/activation/glu.h"
#include "kernels/conv/short_conv.h"
#include "kernels/delta/gated_delta.h"
#include "kernels/moe/route.h"
#include "kernels/rope/rope.h"

namespace tern {

enum class RopeScaling : uint8_t {
  kNone,
  kLinear,   // every position divided by `factor`
  kLlama3,   // low frequencies divided by `factor`, high ones kept, a ramp between (Llama 3.1 release)
  kYarn,     // the same by wavelength against the original context, with an attention factor (arXiv 2309.00071)
  kLong,     // each frequency divided by its entry of long_factors or short_factors (LongRoPE, arXiv 2402.13753)
  kFactors,  // each frequency divided by its entry of the weight rope_freqs
};

struct RopeConfig {
  RopeStyle style = RopeStyle::kInterleaved;
  double theta = 10000.0;
  int64_t dims = 0;  // leading elements of a head that rotate
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  double low_frequency_factor = 1.0;
  double high_frequency_factor = 4.0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool yarn_whole_pairs = true;   // kYarn: the ramp begins and ends at whole pairs
  double attention_factor = 1.0;  // multiplies cosines and sines
  int64_t original_context = 0;
  // kLong. The long ones where sequences may be longer than the original context: one choice for all positions, so that
  // keys in the cache stay right.
  std::vector<float> short_factors, long_factors;
};

// What makes one vector of a text of those of its tokens.
enum class Pooling : uint8_t { kNone, kMean, kFirst, kLast };

// What differs from layer to layer.
struct LayerAttention {
  int64_t window = 0;    // keys further back are not seen; 0: all
  int32_t rope = 0;      // 0: ModelConfig::rope, 1: local_rope, -1: positions are not rotated
  bool conv = false;     // a short convolution stands in the place of attention
  bool delta = false;    // a gated delta net does
  bool chunked = false;  // windows are multiples of `window`: a token sees its own alone
};

// Keys and values of all heads as one vector a token (blocks/latent_attention.h).
struct LatentFacts {
  int64_t rank = 0;        // of the vector, beside RopeConfig::dims that are rotated; 0: heads have keys of their own
  int64_t query_rank = 0;  // queries are made of so many numbers; 0: of the layer's input
  int64_t plain = 0;       // of a head's query: elements that do not rotate
  int64_t value = 0;       // elements of a head's output
};

struct ModelConfig {
  std::string architecture;  // the ArchSpec's name
  std::string model_name;    // what the file calls itself, may be empty
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn = 0;
  int64_t vocabulary = 0;
  int64_t context = 0;
  float norm_eps = 1e-5f;
  RouteFacts route;              // experts 0: feed-forwards are dense
  int64_t expert_ffn = 0;        // of one expert
  int64_t shared_ffn = 0;        // of the experts that every token goes to, together
  int64_t dense_layers = 0;      // the first so many have a dense feed-forward
  int64_t mixture_step = 1;      // behind them, every so many-th has experts
  bool tied_embeddings = false;  // the output head is the token embedding
  bool qkv_bias = false;
  bool output_bias = false;  // bias on the attention's output projection
  bool router_bias = false, expert_bias = false;
  bool choice_bias = false;      // added where experts are chosen
  bool shared_gate = false;      // what shared experts add is weighed by a sigmoid
  bool attention_gate = false;   // attention is weighed by one: queries and gates of a head are one behind the other
  bool attention_sinks = false;  // a score of each head that adds no value
  int64_t window = 0;            // keys further back are not seen; 0: all
  Activation activation = Activation::kSilu;
  LatentFacts latent;
  DeltaFacts delta;         // of layers that say so
  int64_t conv_length = 0;  // tokens that a short convolution reaches
  RopeConfig rope;
  RopeConfig local_rope;                        // of layers that say so
  std::vector<LayerAttention> layer_attention;  // empty: every layer has `window` and `rope`
  bool layer_norms = false, norm_bias = false;  // norms take away the mean; they have a bias
  bool gated = true;                            // feed-forwards: act(gate) * up; otherwise act(up)
  bool ffn_bias = false;
  bool parallel_blocks = false;      // attention and feed-forward read the same normed input
  bool learned_positions = false;    // a row of a table is added to each token's embedding
  bool token_types = false;          // and the first row of another
  bool causal = true;                // a token sees those before it; otherwise all: an encoder
  Pooling pooling = Pooling::kNone;  // of an encoder
  bool head_norms = false;           // of each head of q and k before they rotate
  // Of each head of q and k of layers that rotate, without a weight.
  bool unit_head_norms = false;
  bool row_norms = false;          // of all heads of q, and of k, together
  bool input_norms = true;         // in front of attention and feed-forward
  bool post_norms = false;         // of what they add to the residual stream
  bool fused_projections = false;  // q, k and v are rows of one tensor, gate and up of another
  float norm_plus = 0;             // added to norm weights
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;
  float attention_scale = 0;                         // of scores; 0: 1 / sqrt(head_dim)
  float attention_soft_cap = 0, logit_soft_cap = 0;  // 0: none
  // Queries of layers that do not rotate grow with their position (OpKind::kPositionScale); length 0: they do not.
  float query_scale = 0;
  int64_t query_scale_length = 0;

  LayerAttention attention_of(int64_t layer) const {
    return layer_attention.empty() ? LayerAttention{window, 0} : layer_attention[static_cast<size_t>(layer)];
  }
};

// Throws a bad-input line naming `source` and the first fact that is out of range or contradicts another.
void validate(const ModelConfig& config, const std::string& source);

}  // namespace tern
