#include "engine/runner/cpu_experts.h"

#include <algorithm>

#include "engine/runner/runner.h"
#include "kernels/activation/pointwise.h"

namespace tern {

void RouteStep::run(const StepContext& context, const Team& team) const {
  const Team::Range share = team.share(count_of(scores_, context.shape));
  for (int64_t t = share.begin; t < share.end; ++t) {
    route_row(facts_, scores_.data + t * scores_.stride, bias_.empty() ? nullptr : bias_.data(),
              route_.data + t * route_.stride);
  }
}

Cost RouteStep::cost(const BatchShape& shape) const {
  const auto rows = static_cast<double>(count_of(scores_, shape));
  const double bytes = 4 * rows * static_cast<double>(facts_.experts + 2 * facts_.used);
  return {.bytes = bytes, .ops = rows * static_cast<double>(facts_.experts * facts_.used), .activations = bytes};
}

void ExpertVisits::add(const Linear& linear) {
  row_bytes_ = std::max(row_bytes_, linear.prepared_bytes(kAmongTokens) / kAmongTokens);
  scratch_bytes_ = std::max(scratch_bytes_, linear.scratch_bytes());
}

void ExpertVisits::reserve(int64_t tokens, const RouteFacts& facts, int64_t hidden, int64_t ffn, int workers) {
  const int64_t most = tokens * facts.used, experts = std::min(most, facts.experts);
  visits.resize(static_cast<size_t>(most));
  place.resize(static_cast<size_t>(most));
  seen_.resize(static_cast<size_t>(tokens));
  gate_up_tasks.reserve(static_cast<size_t>(experts));
  down_tasks.reserve(static_cast<size_t>(experts));
  gathers_.reserve(static_cast<size_t>(experts));
  floats_.resize(static_cast<size_t>(most * (3 * ffn + hidden)));
  gate_up = floats_.data();
  product = gate_up + most * 2 * ffn;
  out = product + most * ffn;
  // Each expert's prepared rows are rounded up to whole groups.
  const auto rows = static_cast<uint64_t>(most + experts * (kAmongTokens - 1));
  workspace_ = Buffer(static_cast<uint64_t>(workers) * scratch_bytes_ + rows * row_bytes_, "experts' workspace");
  scratch = workspace_.data();
  prepared_ = scratch + static_cast<uint64_t>(workers) * scratch_bytes_;
}

uint64_t ExpertVisits::bytes() const {
  return floats_.size() * sizeof(float) + visits.size() * (sizeof(Visit) + sizeof(int64_t)) + workspace_.bytes();
}

void ExpertVisits::sort(const Place& route, const Place& x, int64_t tokens, const RouteFacts& facts,
                        const std::vector<const Linear*>& gate_up_products,
                        const std::vector<const Linear*>& down_products) {
  count = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const float* row = route.data + t * route.stride;
    for (int64_t i = 0; i < facts.used; ++i) {
      visits[static_cast<size_t>(count++)] = {static_cast<int32_t>(row[i]), static_cast<int32_t>(t),
                                              row[facts.used + i]};
    }
  }
  const auto end = visits.begin() + count;
  std::sort(visits.begin(), end, [](const Visit& a, const Visit& b) {
    return a.expert != b.expert ? a.expert < b.expert : a.token < b.token;
  });
  for (int64_t t = 0; t < tokens; ++t) seen_[static_cast<size_t>(t)] = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto token = static_cast<size_t>(visits[static_cast<size_t>(i)].token);
    place[token * static_cast<size_t>(facts.used) + static_cast<size_t>(seen_[token]++)] = i;
  }
  gate_up_tasks.clear();
  down_tasks.clear();
  gathers_.clear();
  std::byte *gate_up_prepared = prepared_, *down_prepared = prepared_;
  for (int64_t first = 0, next; first < count; first = next) {
    const auto expert = static_cast<size_t>(visits[static_cast<size_t>(first)].expert);
    for (next = first + 1;
         next < count && visits[static_cast<size_t>(next)].expert == visits[static_cast<size_t>(first)].expert;)
      ++next;
    const Linear &up = *gate_up_products[expert], &down = *down_products[expert];
    const int64_t rows = next - first, hidden = up.cols(), ffn = down.cols();
    gathers_.push_back({&x, visits.data() + first});
    gate_up_tasks.push_back({&up,
                             {.x = nullptr,
                              .x_stride = 0,
                              .tokens = rows,
                              .out = gate_up + first * 2 * ffn,
                              .out_stride = 2 * ffn,
                              .workspace = gate_up_prepared,
                              .row = gathers_.back()}});
    down_tasks.push_back({&down,
                          {.x = product + first * ffn,
                           .x_stride = ffn,
                           .tokens = rows,
                           .out = out + first * hidden,
                           .out_stride = hidden,
                           .workspace = down_prepared}});
    gate_up_prepared += up.prepared_bytes(rows);
    down_prepared += down.prepared_bytes(rows);
  }
}

void ExpertsStep::run(const StepContext& context, const Team& team) const {
  const int64_t tokens = count_of(x_, context.shape), ffn = down_[0]->cols();
  if (tokens == 0) return;
  if (team.index() == 0) visits_.sort(route_, x_, tokens, facts_, gate_up_, down_);
  team.sync();
  Linear::run_together(visits_.gate_up_tasks, visits_.scratch, team);
  team.sync();
  if (facts_.scales_input) {
    scale_visits(team);
    team.sync();
  }
  glu_.run({visits_.gate_up, visits_.product, visits_.count, ffn}, team);
  team.sync();
  Linear::run_together(visits_.down_tasks, visits_.scratch, team);
  team.sync();
  const Team::Range share = team.share(tokens);
  for (int64_t t = share.begin; t < share.end; ++t) add_up(t);
}

// Products of a scaled input: gate and up are scaled alike.
void ExpertsStep::scale_visits(const Team& team) const {
  const int64_t cols = 2 * down_[0]->cols();
  const Team::Range share = team.share(visits_.count);
  for (int64_t i = share.begin; i < share.end; ++i) {
    float* row = visits_.gate_up + i * cols;
    scale_row(row, visits_.visits[static_cast<size_t>(i)].weight, row, cols);
  }
}

void ExpertsStep::add_up(int64_t token) const {
  float* out = out_.data + token * out_.stride;
  std::fill_n(out, static_cast<size_t>(out_.cols), 0.0f);
  for (int64_t i = 0; i < facts_.used; ++i) {
    const int64_t at = visits_.place[static_cast<size_t>(token * facts_.used + i)];
    const float weight = facts_.scales_input ? 1 : visits_.visits[static_cast<size_t>(at)].weight;
    const float* row = visits_.out + at * out_.cols;
    for (int64_t c = 0; c < out_.cols; ++c) out[c] += weight * row[c];
  }
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
