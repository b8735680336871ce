// What the CUDA runner refuses, and with what words: no GPU is needed to know.
#include "engine/runner/gpu_support.h"

#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"
#include "support/paths.h"

namespace tern {
namespace {

std::string refusal(const std::string& model) {
  const auto checkpoint = open_checkpoint(test::golden_dir() + "/models/" + model + "/model.gguf");
  return cuda_refusal(lower(arch_of(*checkpoint).program(model_config(*checkpoint))));
}

TEST(GpuSupport, WhatHasKernelsIsTaken) {
  EXPECT_EQ(refusal("llama-tiny"), "");
  EXPECT_EQ(refusal("qwen2-tiny"), "");
  EXPECT_EQ(refusal("qwen3-tiny"), "");
  EXPECT_EQ(refusal("gemma2-tiny"), "");
  EXPECT_EQ(refusal("gemma3-tiny"), "");
  EXPECT_EQ(refusal("mixtral-tiny"), "");
}

TEST(GpuSupport, RefusalsNameTheOp) {
  EXPECT_EQ(refusal("olmo2-tiny"), "op rope_kv wants q, k and v side by side");
  EXPECT_EQ(refusal("gptoss-tiny"), "op attention has no sinks");
  EXPECT_EQ(refusal("deepseek3-tiny"), "op head_product has no CUDA kernel");
  EXPECT_EQ(refusal("gpt2-tiny"), "op embed has no table of positions");
  EXPECT_EQ(refusal("command-r-tiny"), "op layer_norm has no CUDA kernel");
  EXPECT_EQ(refusal("lfm2-tiny"), "op short_conv has no CUDA kernel");
  EXPECT_EQ(refusal("qwen3next-tiny"), "op gated_delta has no CUDA kernel");
}

}  // namespace
}  // namespace tern
