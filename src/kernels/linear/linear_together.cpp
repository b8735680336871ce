// Products that run together: the rows of all tasks are one list, and so are the units of all, each shared out by what
// it costs. A mixture's experts have few rows each and would wait for one another otherwise.
#include <algorithm>

#include "kernels/linear/linear.h"

namespace tern {
namespace {

// A token's arithmetic on a unit, in reads of the unit: a core multiplies about so many tokens while it reads a weight
// from memory.
constexpr double kTokensARead = 8;

}  // namespace

double Linear::work_of(int64_t tokens) const {
  double bytes = 0;
  for (const BoundPart& bound : parts_) bytes += bound.unit_bytes * static_cast<double>(bound.units);
  return bytes * (1 + static_cast<double>(tokens) / kTokensARead);
}

void Linear::run_together(std::span<const LinearTask> tasks, std::byte* scratch, const Team& team) {
  int64_t rows = 0;
  uint64_t scratch_each = 0;
  double work = 0;
  for (const LinearTask& task : tasks) {
    rows += task.args.tokens;
    scratch_each = std::max(scratch_each, task.linear->scratch_bytes());
    if (task.args.tokens > 0) work += task.linear->work_of(task.args.tokens);
  }
  auto* own = reinterpret_cast<float*>(scratch + static_cast<uint64_t>(team.index()) * scratch_each);
  const Team::Range share = team.share(rows);
  int64_t first = 0;  // row at which the task begins
  for (const LinearTask& task : tasks) {
    const int64_t begin = std::max(share.begin - first, int64_t{0}),
                  end = std::min(share.end - first, task.args.tokens);
    for (int64_t t = begin; t < end; ++t) task.linear->prepare_row(task.args, t, true, own, task.args.workspace);
    first += task.args.tokens;
  }
  team.sync();
  // The unit at which `index` of as many parts of the work as there are workers are done.
  const auto cut = [&](int index) {
    double left = work * index / team.size();
    int64_t units = 0;
    for (const LinearTask& task : tasks) {
      if (task.args.tokens == 0) continue;
      const double all = task.linear->work_of(task.args.tokens);
      if (left < all) return units + static_cast<int64_t>(left / all * static_cast<double>(task.linear->units()));
      left -= all;
      units += task.linear->units();
    }
    return units;
  };
  const int last = team.size();
  int64_t end_of_all = 0;
  for (const LinearTask& task : tasks) end_of_all += task.args.tokens > 0 ? task.linear->units() : 0;
  const auto share_of = [&](int worker) {
    return Team::Range{worker == 0 ? 0 : cut(worker), worker + 1 == last ? end_of_all : cut(worker + 1)};
  };
  team.each_piece(share_of, [&](Team::Range units) {
    int64_t begin_of_task = 0;
    for (const LinearTask& task : tasks) {
      if (task.args.tokens == 0) continue;
      const int64_t begin = std::max(units.begin - begin_of_task, int64_t{0});
      const int64_t end = std::min(units.end - begin_of_task, task.linear->units());
      if (begin < end) task.linear->run_units(task.args, task.args.workspace, {begin, end});
      begin_of_task += task.linear->units();
    }
  });
}

}  // namespace tern
