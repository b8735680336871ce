// The steps of a CPU executable, one class an op of the lowered program. Constructed by cpu_executable.cpp.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_step.h"
#include "engine/runner/head_counters.h"
#include "kernels/activation/glu.h"
#include "kernels/attention/attention.h"
#include "kernels/linear/linear.h"
#include "kernels/norm/norm.h"
#include "kernels/rope/rope.h"
#include "kernels/sample/row_scan.h"
#include "model/rope_table.h"
#include "model/weights.h"

namespace tern {

// Rows of the token embedding: from the output head's packed weights when the two are tied, else from the file's.
class EmbedStep final : public CpuStep {
 public:
  // positions: [positions, cols] added to each token's row, or empty.
  EmbedStep(const TensorInfo& table, const Linear* tied, float scale, std::vector<float> positions, Place out)
      : table_(table), tied_(tied), scale_(scale), positions_(std::move(positions)), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return tied_ != nullptr ? tied_->kernel_names() : "file"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  const TensorInfo& table_;
  void embed(int64_t id, float* out) const;

  const Linear* tied_;
  float scale_;
  std::vector<float> positions_;
  Place out_;
};

// What another runner made of the tokens (Batch::hidden).
class HiddenStep final : public CpuStep {
 public:
  explicit HiddenStep(Place out) : out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "copy"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  Place out_;
};

// The residual sum where no norm follows, scaling and soft caps.
class PointwiseStep final : public CpuStep {
 public:
  PointwiseStep(const Op& op, Place a, Place b, Place out)
      : kind_(op.kind), factor_(op.kind == OpKind::kScale ? op.scale : op.soft_cap), a_(a), b_(b), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "loop"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  OpKind kind_;
  float factor_;
  Place a_, b_, out_;
};

// Queries that grow with their position.
class PositionScaleStep final : public CpuStep {
 public:
  PositionScaleStep(float scale, int64_t length, Place in, Place out)
      : scale_(scale), length_(length), in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "loop"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  float scale_;
  int64_t length_;
  Place in_, out_;
};

// An activation whose input is nobody's gate.
class ActivationStep final : public CpuStep {
 public:
  ActivationStep(Glu glu, Place in, Place out)
      : glu_(glu), ones_(static_cast<size_t>(in.cols), 1.0f), in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return glu_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  Glu glu_;
  std::vector<float> ones_;  // what it is multiplied with
  Place in_, out_;
};

class SelectRowsStep final : public CpuStep {
 public:
  SelectRowsStep(Place in, Place out) : in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return "copy"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  Place in_, out_;
};

// A product, with the step that makes its input and the one that goes on with its columns fused into it; either may be
// null. Where the epilogue's columns cannot be kept together, it runs as a step of its own behind a barrier.
class LinearStep final : public CpuStep {
 public:
  LinearStep(Linear& linear, Place in, Place out, int workers);
  template <class Step>
  void set_prologue(std::unique_ptr<Step> step) {
    source_ = step.get();
    prologue_ = std::move(step);
  }
  // Before the product's weights are packed: it decides about the division of its work.
  template <class Step>
  void set_epilogue(std::unique_ptr<Step> step) {
    sink_ = step.get();
    epilogue_ = std::move(step);
    divide();
  }
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override;
  Cost cost(const BatchShape& shape) const override;

 private:
  void divide();

  Linear& linear_;
  Place in_, out_;
  int workers_;
  bool at_once_ = false;  // the epilogue's columns come together
  std::unique_ptr<CpuStep> prologue_, epilogue_;
  const RowSource* source_ = nullptr;
  const ColumnSink* sink_ = nullptr;
};

// Norm alone (no delta) or behind a residual sum.
class NormStep final : public CpuStep, public RowSource {
 public:
  struct Facts {
    std::vector<float> weight, bias;  // [cols]; bias may be empty
    float eps;
    bool centered;
  };
  NormStep(RmsNorm norm, Facts facts, Place in, Place delta, Place sum, Place out)
      : norm_(norm), facts_(std::move(facts)), in_(in), delta_(delta), sum_(sum), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  const float* row(const StepContext& context, int64_t token, bool owner, float* scratch) const override;
  std::string kernel() const override { return norm_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  NormArgs args(const float* x, const float* delta, float* sum, float* out, int64_t tokens) const;

  RmsNorm norm_;
  Facts facts_;
  Place in_, delta_, sum_, out_;
};

// One layer of one cache group.
struct CachePlace {
  KvLayerView kv;
  size_t group;
};

class RopeKvStep final : public CpuStep, public ColumnSink {
 public:
  struct Inputs {
    Place q, k, v;  // k and v without memory: both behind q
    std::vector<float> q_norm, k_norm;
    float norm_eps = 0;
  };
  // `heads` is told what is complete. facts.rope_dims 0: nothing rotates.
  RopeKvStep(RopeKv rope, const AttentionFacts& facts, const RopeTable& table, CachePlace cache, Inputs in, Place q_out,
             HeadCounters& heads)
      : rope_(rope), facts_(facts), table_(table), cache_(cache), in_(std::move(in)), q_out_(q_out), heads_(heads) {}
  void run(const StepContext& context, const Team& team) const override;
  LinearDivision division() const override { return {.grain = facts_.head_dim}; }
  void columns(const StepContext& context, int64_t begin, int64_t end) const override;
  std::string kernel() const override { return rope_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  RopeKvArgs args(const BatchShape& shape) const;

  RopeKv rope_;
  AttentionFacts facts_;
  const RopeTable& table_;
  CachePlace cache_;
  Inputs in_;
  Place q_out_;
  HeadCounters& heads_;
};

class AttentionStep final : public CpuStep {
 public:
  // Waits for the heads of the first `layers` layers one by one; null: all heads are complete when it runs.
  // Not causal: a step has all tokens of its sequences.
  AttentionStep(Attention attention, bool causal, CachePlace cache, Place q, Place out, HeadCounters* heads,
                uint32_t layers)
      : attention_(attention), causal_(causal), cache_(cache), q_(q), out_(out), heads_(heads), layers_(layers) {}
  void run(const StepContext& context, const Team& team) const override;
  bool begins_at_once() const override { return heads_ != nullptr; }
  std::string kernel() const override { return attention_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  Attention attention_;
  bool causal_;
  CachePlace cache_;
  Place q_, out_;
  HeadCounters* heads_;
  uint32_t layers_;
};

class GluStep final : public CpuStep, public ColumnSink {
 public:
  GluStep(Glu glu, Place in, Place out) : glu_(glu), in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  LinearDivision division() const override { return {.grain = kGrain, .paired = true}; }
  void columns(const StepContext& context, int64_t begin, int64_t end) const override;
  std::string kernel() const override { return glu_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  static constexpr int64_t kGrain = 16;  // a panel of every layout, a cache line of the output

  Glu glu_;
  Place in_, out_;
};

// Behind the output head: the largest logit of each block of columns, which is what a sampler looks at first.
class BlockMaximaStep final : public CpuStep, public ColumnSink {
 public:
  // maxima: [rows, blocks of in's columns].
  BlockMaximaStep(RowScan scan, Place in, float* maxima) : scan_(scan), in_(in), maxima_(maxima) {}
  void run(const StepContext& context, const Team& team) const override;
  LinearDivision division() const override { return {.grain = kScanBlock}; }
  void columns(const StepContext& context, int64_t begin, int64_t end) const override;
  std::string kernel() const override { return scan_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  RowScan scan_;
  Place in_;
  float* maxima_;
};

}  // namespace tern
