// AutoDeploy, first half: what a model of an unknown architecture is, from its metadata and its tensors' names, shapes
// and values. No model's name is looked at.
//
// Every fact says where it comes from and how sure it is. Whatever could change the result and is neither stated, shown
// nor told is a doubt, and with one doubt nothing runs: a refusal costs a question, a wrong guess costs wrong answers.
// Pure function of a checkpoint, any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "model/config.h"

namespace tern {

enum class Certainty : uint8_t {
  kStated,      // metadata say it
  kShown,       // tensors are there, or are of that shape
  kMeasured,    // weights are as they would be
  kTold,        // the user says it
  kConvention,  // nothing says otherwise, and all files that say nothing mean this
  kUnsure,
};

std::string_view name_of(Certainty certainty);

struct InferredFact {
  std::string name, value, evidence;
  Certainty certainty = Certainty::kUnsure;
};

// What the user knows and the file does not say, by name; kTellable lists the names.
using ToldFacts = std::map<std::string, std::string>;

struct TellableFact {
  std::string_view name, values, meaning;
};
inline constexpr TellableFact kTellable[] = {
    {"rope_pairs", "halves or interleaved", "which elements of a head rotate together"},
    {"activation", "silu, gelu or gelu_tanh", "of the feed-forward, of its gate where it has one"},
    {"norms", "rms or layer", "whether norms take away the mean (layer) or do not (rms)"},
    {"qkv_rows", "q_k_v", "q, k and v in one tensor lie one behind the other, not head by head"},
    {"logit_scale", "multiplies or divides", "what a GGUF file's logit_scale does to logits"},
    {"norm_plus", "0 or 1", "what is added to norm weights"},
    {"embedding_scale", "a number or sqrt_hidden", "what embeddings are multiplied by"},
    {"window_layers", "all, none or N: all but every N-th", "layers that sliding_window is of"},
    {"expert_weights", "sum_1 or softmax", "of a token's experts: their sum is 1, or as softmax over all leaves them"},
    {"window_rope", "same, alone or the base", "the rotation of layers with a window; alone: the others do not rotate"},
    {"unrotated_layers", "none or N: every N-th", "layers without rotary positions"},
};

struct Inference {
  std::vector<InferredFact> facts;
  std::vector<std::string> doubts;
  ModelConfig config;                            // complete where sure()
  std::shared_ptr<const Checkpoint> checkpoint;  // the same files, under inferred_name()

  bool sure() const { return doubts.empty(); }
};

// Throws a bad-input line where metadata are malformed or `told` names no fact; else doubts say what is missing.
Inference infer_model(const Checkpoint& checkpoint, const ToldFacts& told);

// A line a fact: name, value, certainty, evidence; then the doubts.
std::string to_string(const Inference& inference);

// One bad-input line with all doubts.
[[noreturn]] void refuse(const Inference& inference);

}  // namespace tern
