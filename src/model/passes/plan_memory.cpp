#include <algorithm>
#include <limits>

#include "model/passes/passes.h"

namespace tern {
namespace {

constexpr int64_t kAlignCols = 16;  // 64 bytes of f32: every buffer starts on a cache line

struct Lifetime {
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t last = -1;
};

std::vector<Lifetime> lifetimes(const Program& program) {
  std::vector<Lifetime> lives(program.buffers.size());
  const auto touch = [&](const Operand& operand, size_t first, size_t last) {
    Lifetime& life = lives[static_cast<size_t>(operand.buffer)];
    life.first = std::min(life.first, static_cast<int64_t>(first));
    life.last = std::max(life.last, static_cast<int64_t>(last));
  };
  for (size_t i = 0; i < program.ops.size(); ++i) {
    // What an op touches is in use while the next one runs already, when that does not wait for all workers.
    const size_t last = i + 1 < program.ops.size() && program.ops[i + 1].by_head ? i + 1 : i;
    for_each_part(program.ops[i], [&](const Op& op) {
      for (const Operand& input : op.inputs) touch(input, i, last);
      for (const Operand& output : op.outputs) touch(output, i, last);
    });
  }
  for (const Op& op : program.ops) {
    for (const Op& part : op.prologue) lives[static_cast<size_t>(part.outputs.back().buffer)] = Lifetime{};
  }
  for (const Entry& entry : program.entries) touch(entry.result, program.ops.size(), program.ops.size());
  return lives;
}

struct Placed {
  int64_t begin, end;  // columns
  Lifetime life;
};

// The lowest gap of `cols` columns among buffers alive at the same time (first fit).
int64_t first_fit(std::vector<Placed>& placed, const Lifetime& life, int64_t cols) {
  std::vector<std::pair<int64_t, int64_t>> busy;
  for (const Placed& other : placed) {
    if (other.life.first <= life.last && life.first <= other.life.last) busy.emplace_back(other.begin, other.end);
  }
  std::sort(busy.begin(), busy.end());
  int64_t at = 0;
  for (const auto& [begin, end] : busy) {
    if (begin - at >= cols) break;
    at = std::max(at, end);
  }
  placed.push_back({at, at + cols, life});
  return at;
}

}  // namespace

MemoryPlan plan_memory(const Program& program) {
  const std::vector<Lifetime> lives = lifetimes(program);
  std::vector<size_t> order;
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    if (lives[i].last >= 0) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return lives[a].first < lives[b].first; });

  MemoryPlan plan;
  plan.offset.assign(program.buffers.size(), -1);
  std::vector<Placed> tokens, rows;
  for (size_t i : order) {
    const VirtualBuffer& buffer = program.buffers[i];
    const bool per_token = buffer.rows == RowCount::kTokens;
    const int64_t cols = (buffer.cols + kAlignCols - 1) / kAlignCols * kAlignCols;
    plan.offset[i] = first_fit(per_token ? tokens : rows, lives[i], cols);
    int64_t& total = per_token ? plan.token_cols : plan.row_cols;
    total = std::max(total, plan.offset[i] + cols);
  }
  return plan;
}

}  // namespace tern
