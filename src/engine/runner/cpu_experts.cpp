#include "engine/runner/cpu_experts.h"

#include <algorithm>
#include <cstring>

#include "engine/runner/runner.h"
namespace tern {
void RouteStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(count_of(scores_, context.shape));
  for (int64_t t = share.begin; t < share.end; ++t) {
    route_row(facts_, scores_.data + t * scores_.stride, route_.data + t * route_.stride);
  }
}

Cost RouteStep::cost(const BatchShape& shape) const {
  const auto rows = static_cast<double>(count_of(scores_, shape));
  const double bytes = 4 * rows * static_cast<double>(facts_.experts + 2 * facts_.used);
  return {.bytes = bytes, .ops = rows * static_cast<double>(facts_.experts * facts_.used), .activations = bytes};
}

ExpertRows::ExpertRows(int64_t tokens, int64_t hidden, int64_t ffn) {
  floats.resize(static_cast<size_t>(tokens * (2 * hidden + 3 * ffn)));
  x = floats.data();
  gate_up = x + tokens * hidden;
  product = gate_up + tokens * 2 * ffn;
  out = product + tokens * ffn;
}

void ExpertsStep::sort_visits(int64_t tokens) const {
  rows_.visits = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const float* route = route_.data + t * route_.stride;
    for (int64_t i = 0; i < facts_.used; ++i) {
      rows_.order[rows_.visits++] = {static_cast<int32_t>(route[i]), static_cast<int32_t>(t), route[facts_.used + i]};
    }
  }
  std::sort(
      rows_.order.begin(), rows_.order.begin() + static_cast<std::ptrdiff_t>(rows_.visits),
      [](const auto& a, const auto& b) { return a.expert != b.expert ? a.expert < b.expert : a.token < b.token; });
}

void ExpertsStep::run(const StepContext& context, const Team& team) const {
  const int64_t tokens = count_of(x_, context.shape);
  if (team.index() == 0) sort_visits(tokens);
  const Team::Range share = team.share(tokens);
  for (int64_t t = share.begin; t < share.end; ++t) {
    std::fill_n(out_.data + t * out_.stride, static_cast<size_t>(out_.cols), 0.0f);
  }
  team.sync();
  const std::span<const ExpertRows::Visit> all(rows_.order.data(), rows_.visits);
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin + 1;
    while (end < all.size() && all[end].expert == all[begin].expert) ++end;
    run_expert(context, team, all.subspan(begin, end - begin));
    begin = end;
  }
}

void ExpertsStep::run_expert(const StepContext& context, const Team& team,
                             std::span<const ExpertRows::Visit> visits) const {
  const auto count = static_cast<int64_t>(visits.size());
  const Linear& gate_up = *gate_up_[static_cast<size_t>(visits[0].expert)];
  const Linear& down = *down_[static_cast<size_t>(visits[0].expert)];
  const int64_t hidden = gate_up.cols(), ffn = down.cols();
  const Team::Range share = team.share(count);
  for (int64_t i = share.begin; i < share.end; ++i) {
    std::memcpy(rows_.x + i * hidden, x_.data + visits[static_cast<size_t>(i)].token * x_.stride,
                static_cast<size_t>(hidden) * sizeof(float));
  }
  team.sync();
  gate_up.run({.x = rows_.x,
               .x_stride = hidden,
               .tokens = count,
               .out = rows_.gate_up,
               .out_stride = 2 * ffn,
               .workspace = context.workspace},
              team);
  team.sync();
  glu_.run({rows_.gate_up, rows_.product, count, ffn}, team);
  team.sync();
  down.run({.x = rows_.product,
            .x_stride = ffn,
            .tokens = count,
            .out = rows_.out,
            .out_stride = hidden,
            .workspace = context.workspace},
           team);
  team.sync();
  for (int64_t i = share.begin; i < share.end; ++i) {
    const ExpertRows::Visit& visit = visits[static_cast<size_t>(i)];
    float* out = out_.data + visit.token * out_.stride;
    const float* row = rows_.out + i * hidden;
    for (int64_t c = 0; c < hidden; ++c) out[c] += visit.weight * row[c];
  }
  // The next expert's rows of the same token may be another worker's.
  team.sync();
}

// As many experts as tokens can go to, each with an even share of the tokens.
Cost ExpertsStep::cost(const BatchShape& shape) const {
  const int64_t visits = count_of(x_, shape) * facts_.used, experts = std::min(visits, facts_.experts);
  if (visits == 0) return {};
  const int64_t each = (visits + experts - 1) / experts;
  Cost sum = gate_up_[0]->cost(each);
  for (const Cost& cost : {down_[0]->cost(each), Glu::cost(each, down_[0]->cols())}) {
    sum.bytes += cost.bytes;
    sum.ops += cost.ops;
    sum.activations += cost.activations;
  }
  const auto times = static_cast<double>(experts);
  sum.bytes *= times;
  sum.ops *= times;
  sum.activations *= times;
  return sum;
}

}  // namespace tern
