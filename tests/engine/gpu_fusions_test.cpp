// What products of few tokens do for the ops around them: found in the program alone, so no GPU is needed.
#include "engine/runner/gpu_fusions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "formats/checkpoint.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"
#include "support/paths.h"

namespace tern {
namespace {

Program program_of(const std::string& model) {
  const auto checkpoint = open_checkpoint(test::golden_dir() + "/models/" + model);
  return lower(arch_of(*checkpoint).program(model_config(*checkpoint)), {.fuse_into_linear = false});
}

bool makes_logits(const Program& program, const Op& op) {
  return op.outputs[0].buffer == program.entries[0].result.buffer;
}

// All products but the one that makes logits have kernels for few tokens.
GpuFusions find(const Program& program, DecodeKv kv = DecodeKv::kBf16) {
  return find_gpu_fusions(program, kv, [&](const Op& op) { return !makes_logits(program, op); });
}

// Launches of each layer; rows whose logits are wanted are selected once a step and not counted.
std::map<int32_t, int> launches(const Program& program, const GpuFusions& fusions) {
  std::map<int32_t, int> count;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (fusions.product[i] < 0 && program.ops[i].kind != OpKind::kSelectRows) ++count[program.ops[i].layer];
  }
  return count;
}

TEST(GpuFusions, ALayerIsFiveLaunches) {
  // Interleaved rotation; halves of two tiles.
  for (const std::string model : {"llama-tiny/model.gguf", "llama-linear-tiny/hf"}) {
    const Program program = program_of(model);
    const auto fused = launches(program, find(program)), plain = launches(program, no_gpu_fusions(program));
    const int32_t layers = fused.rbegin()->first + 1;
    ASSERT_GE(layers, 2);
    for (int32_t layer = 0; layer < layers; ++layer) {
      // The first norm stands behind no product; in the last layer rows are selected between a product and its sum.
      EXPECT_EQ(fused.at(layer), layer == 0 || layer == layers - 1 ? 6 : 5) << model;
      EXPECT_EQ(plain.at(layer), 9) << model;
    }
  }
}

TEST(GpuFusions, TheLastNormStaysALaunch) {
  const Program program = program_of("llama-tiny/model.gguf");
  const GpuFusions fusions = find(program);
  const auto last = std::find_if(program.ops.rbegin(), program.ops.rend(),
                                 [](const Op& op) { return op.kind == OpKind::kAddRmsNorm; });
  EXPECT_EQ(fusions.product[static_cast<size_t>(program.ops.rend() - last - 1)], -1);
}

TEST(GpuFusions, DivisionIsMadeUpForWhereANormIsLeft) {
  const Program program = program_of("llama-tiny/model.gguf");
  const GpuFusions fusions = find(program);
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const int32_t norm = fusions.norm[i];
    if (norm >= 0) {
      EXPECT_EQ(program.ops[i].kind, OpKind::kLinear);
      EXPECT_EQ(program.ops[i].inputs[0].buffer, program.ops[static_cast<size_t>(norm)].outputs[1].buffer);
    }
    if (program.ops[i].kind != OpKind::kAddRmsNorm || fusions.product[i] < 0) continue;
    EXPECT_EQ(std::count(fusions.norm.begin(), fusions.norm.end(), static_cast<int32_t>(i)), 1);
  }
}

TEST(GpuFusions, WhatDoesNotFitStays) {
  const Program program = program_of("llama-tiny/model.gguf");
  EXPECT_EQ(launches(program, find(program, DecodeKv::kFp8)).at(1), 7);  // keys and values get scales a row
  const GpuFusions none = find_gpu_fusions(program, DecodeKv::kBf16, [](const Op&) { return false; });
  EXPECT_EQ(none.product, no_gpu_fusions(program).product);
  EXPECT_EQ(none.norm, no_gpu_fusions(program).norm);
  const Program halves = program_of("llama-tiny/hf");  // of 8: not a tile
  EXPECT_EQ(launches(halves, find(halves)).at(1), 7);
}

// Whether a product would write over its own input while others still read that.
bool overlaps_itself(const Program& program, const GpuFusions& fusions, const MemoryPlan& plan) {
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (fusions.product[i] < 0) continue;
    const Op& product = program.ops[static_cast<size_t>(fusions.product[i])];
    for (const Operand& in : product.inputs) {
      for (const Operand& out : program.ops[i].outputs) {
        const auto a = static_cast<size_t>(in.buffer), b = static_cast<size_t>(out.buffer);
        if (program.buffers[a].rows != program.buffers[b].rows) continue;
        if (plan.offset[a] < plan.offset[b] + out.cols && plan.offset[b] < plan.offset[a] + in.cols) return true;
      }
    }
  }
  return false;
}

TEST(GpuFusions, ProductsDoNotWriteOverWhatTheyRead) {
  const Program program = program_of("llama-tiny/model.gguf");
  const GpuFusions fusions = find(program);
  EXPECT_TRUE(overlaps_itself(program, fusions, plan_memory(program)));
  EXPECT_FALSE(overlaps_itself(program, fusions, plan_memory(with_fused_lifetimes(program, fusions))));
}

}  // namespace
}  // namespace tern
