// The steps of a CPU executable, one class an op of the lowered program. Constructed by the binder in cpu_runner.cpp.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/runner/cpu_arena.h"
#include "engine/runner/cpu_step.h"
#include "kernels/activation/glu.h"
#include "kernels/attention/attention.h"
#include "kernels/linear/linear.h"
#include "kernels/norm/norm.h"
#include "kernels/rope/rope.h"
#include "model/rope_table.h"
#include "model/weights.h"

namespace tern {

// Rows of the token embedding: from the output head's packed weights when the two are tied, else from the file's.
class EmbedStep final : public CpuStep {
 public:
  EmbedStep(const TensorInfo& table, const Linear* tied, Place out) : table_(table), tied_(tied), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return tied_ != nullptr ? tied_->kernel_names() : "file"; }
  Cost cost(const BatchShape& shape) const override;

 private:
  const TensorInfo& table_;
  const Linear* tied_;
  Place out_;
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

class LinearStep final : public CpuStep {
 public:
  LinearStep(const Linear& linear, Place in, Place out) : linear_(linear), in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return linear_.kernel_names(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  const Linear& linear_;
  Place in_, out_;
};

// Norm alone (no delta) or behind a residual sum.
class NormStep final : public CpuStep {
 public:
  NormStep(RmsNorm norm, std::vector<float> weight, float eps, Place in, Place delta, Place sum, Place out)
      : norm_(norm), weight_(std::move(weight)), eps_(eps), in_(in), delta_(delta), sum_(sum), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return norm_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  RmsNorm norm_;
  std::vector<float> weight_;
  float eps_;
  Place in_, delta_, sum_, out_;
};

// One layer of one cache group.
struct CachePlace {
  KvLayerView kv;
  size_t group;
};

class RopeKvStep final : public CpuStep {
 public:
  RopeKvStep(RopeKv rope, const AttentionFacts& facts, const RopeTable& table, CachePlace cache, Place qkv, Place q_out)
      : rope_(rope), facts_(facts), table_(table), cache_(cache), qkv_(qkv), q_out_(q_out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return rope_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  RopeKvArgs args(const BatchShape& shape) const;

  RopeKv rope_;
  AttentionFacts facts_;
  const RopeTable& table_;
  CachePlace cache_;
  Place qkv_, q_out_;
};

class AttentionStep final : public CpuStep {
 public:
  AttentionStep(Attention attention, CachePlace cache, Place q, Place out)
      : attention_(attention), cache_(cache), q_(q), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return attention_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  Attention attention_;
  CachePlace cache_;
  Place q_, out_;
};

class GluStep final : public CpuStep {
 public:
  GluStep(Glu glu, Place in, Place out) : glu_(glu), in_(in), out_(out) {}
  void run(const StepContext& context, const Team& team) const override;
  std::string kernel() const override { return glu_.kernel_name(); }
  Cost cost(const BatchShape& shape) const override;

 private:
  Glu glu_;
  Place in_, out_;
};

}  // namespace tern
