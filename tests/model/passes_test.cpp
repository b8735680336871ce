// The lowered program: what each pass makes of a small decoder, and that memory planning never lets two live buffers
// meet.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/blocks/transformer.h"
#include "model/passes/passes.h"

namespace tern {
namespace {

ModelConfig small_config(bool bias = false) {
  ModelConfig c;
  c.layers = 3;
  c.hidden = 64;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 16;
  c.ffn = 96;
  c.vocabulary = 320;
  c.context = 128;
  c.rope.dims = 16;
  c.qkv_bias = bias;
  return c;
}

int64_t count(const Program& program, OpKind kind) {
  int64_t n = 0;
  for (const Op& op : program.ops) for_each_part(op, [&](const Op& part) { n += part.kind == kind; });
  return n;
}

TEST(SourceProgram, IsUnfusedAndPrintable) {
  const Program source = decoder(small_config());
  EXPECT_EQ(count(source, OpKind::kLinear), 3 * 7 + 1);
  EXPECT_EQ(count(source, OpKind::kRope), 6);
  EXPECT_EQ(count(source, OpKind::kKvWrite), 3);
  EXPECT_EQ(count(source, OpKind::kAddRmsNorm), 0);
  const std::string text = to_string(source);
  EXPECT_NE(text.find("L2 kv_write"), std::string::npos) << text;
  EXPECT_NE(text.find("logits[r,320]"), std::string::npos) << text;
}

TEST(LoweredProgram, HasFiveKindsOfOpsALayer) {
  const Program lowered = lower(decoder(small_config()));
  EXPECT_EQ(count(lowered, OpKind::kLinear), 3 * 4 + 1);
  EXPECT_EQ(count(lowered, OpKind::kRopeKv), 3);
  EXPECT_EQ(count(lowered, OpKind::kGlu), 3);
  EXPECT_EQ(count(lowered, OpKind::kAddRmsNorm), 6);
  EXPECT_EQ(count(lowered, OpKind::kRmsNorm), 1);
  for (OpKind unfused : {OpKind::kRope, OpKind::kKvWrite, OpKind::kActivation, OpKind::kMul, OpKind::kAdd}) {
    EXPECT_EQ(count(lowered, unfused), 0) << name_of(unfused);
  }
}

TEST(LoweredProgram, OpsAreCalledByTheirWeights) {
  std::string names;
  for (const Op& op : lower(decoder(small_config())).ops) {
    if (op.layer <= 0) for_each_part(op, [&](const Op& part) { names += short_name(part) + " "; });
  }
  EXPECT_EQ(names,
            "embed attn_norm attn_qkv rope_kv attention attn_out ffn_norm ffn_gate_up glu ffn_down select_rows "
            "select_rows output_norm lm_head ");
}

// Between two waits of all workers stands one op: four products and attention a layer.
TEST(LoweredProgram, NormsRopeAndGluAreFusedIntoProducts) {
  const Program lowered = lower(decoder(small_config()));
  EXPECT_EQ(std::count_if(lowered.ops.begin(), lowered.ops.end(), [](const Op& op) { return op.layer == 1; }), 5);
  for (const Op& op : lowered.ops) {
    EXPECT_TRUE(op.kind == OpKind::kEmbed || op.kind == OpKind::kLinear || op.kind == OpKind::kAttention ||
                op.kind == OpKind::kSelectRows)
        << name_of(op.kind);
  }
  const auto waits =
      std::count_if(lowered.ops.begin(), lowered.ops.end(), [](const Op& op) { return op.layer == 1 && !op.by_head; });
  EXPECT_EQ(waits, 4);
  const MemoryPlan plan = plan_memory(lowered);
  for (const Op& op : lowered.ops) {
    for (const Op& norm : op.prologue) EXPECT_EQ(plan.offset[static_cast<size_t>(norm.outputs.back().buffer)], -1);
  }
}

// A norm that two ops read stays an op.
TEST(LoweredProgram, WhatOthersReadIsNotFused) {
  Program program = lower(decoder(small_config()));
  const Op& first =
      *std::find_if(program.ops.begin(), program.ops.end(), [](const Op& op) { return !op.prologue.empty(); });
  Program plain = program;
  plain.ops = {first.prologue[0], first};
  plain.ops[1].prologue.clear();
  plain.ops[1].epilogue.clear();
  EXPECT_EQ(fuse_into_linear(plain).ops.size(), 1u);
  plain.entries = {{"normed", first.prologue[0].outputs.back()}};
  EXPECT_EQ(fuse_into_linear(plain).ops.size(), 2u);
}

TEST(LoweredProgram, MergedLinearsKeepTheirOrderAndBiases) {
  const Program lowered = lower(decoder(small_config(true)));
  const auto qkv =
      std::find_if(lowered.ops.begin(), lowered.ops.end(), [](const Op& op) { return op.kind == OpKind::kLinear; });
  ASSERT_EQ(qkv->weights.size(), 3u);
  EXPECT_EQ(qkv->weights[0].role, Role::kAttentionQ);
  EXPECT_EQ(qkv->weights[2].role, Role::kAttentionV);
  ASSERT_EQ(qkv->biases.size(), 3u);
  EXPECT_EQ(qkv->biases[1].role, Role::kAttentionK);
  EXPECT_TRUE(qkv->biases[1].bias);
  EXPECT_EQ(qkv->outputs[0].cols, 64 + 32 + 32);
}

// After the last attention only the rows whose logits are wanted are computed.
TEST(LoweredProgram, UnwantedRowsLeaveBehindTheLastAttention) {
  const Program lowered = lower(decoder(small_config()));
  bool after = false;
  for (const Op& op : lowered.ops) {
    if (after && op.kind != OpKind::kSelectRows) {
      for_each_part(op, [&](const Op& part) {
        for (const Operand& output : part.outputs) {
          EXPECT_EQ(lowered.buffers[static_cast<size_t>(output.buffer)].rows, RowCount::kRows) << name_of(part.kind);
        }
      });
    }
    after |= op.kind == OpKind::kAttention && op.layer == 2;
  }
  EXPECT_EQ(count(lowered, OpKind::kSelectRows), 2);
}

TEST(Passes, LeaveTheSourceProgramAlone) {
  const Program source = decoder(small_config());
  const std::string before = to_string(source);
  lower(source);
  EXPECT_EQ(to_string(source), before);
}

struct Span {
  int64_t begin, end;
  size_t first, last;
};

// Lifetimes and columns of all buffers with this row count.
std::vector<Span> spans(const Program& program, const MemoryPlan& plan, RowCount rows) {
  std::vector<Span> out;
  for (size_t b = 0; b < program.buffers.size(); ++b) {
    if (program.buffers[b].rows != rows || plan.offset[b] < 0) continue;
    Span span{plan.offset[b], plan.offset[b] + program.buffers[b].cols, SIZE_MAX, 0};
    const auto touch = [&](const Operand& operand, size_t at) {
      if (operand.buffer != static_cast<int32_t>(b)) return;
      span.first = std::min(span.first, at);
      const bool overlaps_next = at + 1 < program.ops.size() && program.ops[at + 1].by_head;
      span.last = std::max(span.last, overlaps_next ? at + 1 : at);
    };
    for (size_t i = 0; i < program.ops.size(); ++i) {
      for_each_part(program.ops[i], [&](const Op& op) {
        for (const Operand& operand : op.inputs) touch(operand, i);
        for (const Operand& operand : op.outputs) touch(operand, i);
      });
    }
    for (const Entry& entry : program.entries) touch(entry.result, program.ops.size());
    out.push_back(span);
  }
  return out;
}

TEST(MemoryPlan, BuffersThatLiveTogetherDoNotMeet) {
  const Program lowered = lower(decoder(small_config()));
  const MemoryPlan plan = plan_memory(lowered);
  for (RowCount rows : {RowCount::kTokens, RowCount::kRows}) {
    const std::vector<Span> all = spans(lowered, plan, rows);
    for (size_t i = 0; i < all.size(); ++i) {
      for (size_t j = i + 1; j < all.size(); ++j) {
        const bool together = all[i].first <= all[j].last && all[j].first <= all[i].last;
        const bool meet = all[i].begin < all[j].end && all[j].begin < all[i].end;
        EXPECT_FALSE(together && meet) << i << " " << j;
      }
    }
  }
}

TEST(MemoryPlan, DoesNotGrowWithTheNumberOfLayers) {
  ModelConfig c = small_config();
  const MemoryPlan few = plan_memory(lower(decoder(c)));
  c.layers = 60;
  const MemoryPlan many = plan_memory(lower(decoder(c)));
  EXPECT_EQ(few.token_cols, many.token_cols);
  EXPECT_EQ(few.row_cols, many.row_cols);
}

}  // namespace
}  // namespace tern
