// The inference itself: reads one kind of fact after the other into a ModelConfig, stating where each comes from. Used
// by infer_model() alone; one thread.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>

#include "model/config.h"
#include "plan/autodeploy/inference.h"
#include "plan/autodeploy/tensor_roles.h"

namespace tern {

class Inferrer {
 public:
  Inferrer(const Checkpoint& checkpoint, const ToldFacts& told);
  Inference run();

 private:
  void state(std::string name, std::string value, Certainty certainty, std::string evidence) {
    out_.facts.push_back({std::move(name), std::move(value), std::move(evidence), certainty});
  }
  void doubt(std::string what) { out_.doubts.push_back(std::move(what)); }
  // What the user says of `name`, or null.
  const std::string* told(std::string_view name);
  // The same of a fact with `choices`; throws a bad-input line where it is none of them.
  const std::string* told(std::string_view name, std::initializer_list<std::string_view> choices);
  double told_number(std::string_view name, const std::string& text) const;
  int64_t told_count(std::string_view name, const std::string& text) const;
  bool has(const char* hugging_face) const { return !gguf_ && metadata().has(hugging_face); }
  const Metadata& metadata() const { return view_->metadata; }
  std::string pattern(Role role) const { return roles_.pattern.at(role); }
  float factor(const char* name, const char* gguf, const char* hugging_face, float absent);

  bool complete();
  void read_layout();
  void read_sizes();
  void read_norm_kind();
  void read_norms();
  void read_norms_of_heads();
  void read_biases();
  void agree(const char* key, bool tensors);
  void read_feed_forward();
  void read_activation();
  void read_mixture();
  void read_multipliers();
  void read_logit_scale();
  void read_scale_of_norms_and_embeddings();
  void read_windows();
  void read_positions();
  void read_table_of_positions();
  void read_rotations();
  void read_window_rope();
  void read_unrotated();
  void read_pairs();
  void check_weights();

  const Checkpoint& original_;
  const ToldFacts& told_;
  bool gguf_;
  TensorRoles roles_;
  std::shared_ptr<const Checkpoint> view_;
  Inference out_;
  ModelConfig& c_ = out_.config;
};

}  // namespace tern
