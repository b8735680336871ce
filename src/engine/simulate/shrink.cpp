// From a failing load to a small one: pieces of halving size are taken out (Zeller & Hildebrandt 2002, "ddmin"), then
// faults, then tokens' worth of answers.
#include <algorithm>

#include "engine/simulate/stress.h"

namespace tern {
namespace {

using Load = std::vector<SimulatedRequest>;

void take_out_requests(Load& load, const LoadFails& fails) {
  for (size_t piece = std::max<size_t>(load.size() / 2, 1);; piece = std::max<size_t>(piece / 2, 1)) {
    bool smaller = false;
    for (size_t begin = 0; begin < load.size() && load.size() > 1;) {
      Load less(load.begin(), load.begin() + static_cast<int64_t>(begin));
      less.insert(less.end(), load.begin() + static_cast<int64_t>(std::min(begin + piece, load.size())), load.end());
      if (!less.empty() && fails(less)) {
        load = std::move(less);
        smaller = true;
      } else {
        begin += piece;
      }
    }
    if (piece == 1 && !smaller) return;
  }
}

void simplify(Load& load, const LoadFails& fails) {
  const auto attempt = [&](SimulatedRequest& request, auto change) {
    const SimulatedRequest before = request;
    change(request);
    if (!fails(load)) request = before;
  };
  for (SimulatedRequest& request : load) {
    if (request.fault.kind != Fault::Kind::kNone) attempt(request, [](auto& r) { r.fault = {}; });
    if (request.deadline_ns > 0) attempt(request, [](auto& r) { r.deadline_ns = 0; });
    if (request.leader >= 0) attempt(request, [](auto& r) { r.leader = -1; });
    if (request.max_tokens > 1) attempt(request, [](auto& r) { r.max_tokens = r.length = 1; });
    if (request.pause_ns > 0) attempt(request, [](auto& r) { r.pause_ns = 0; });
    if (request.priority > 0) attempt(request, [](auto& r) { r.priority = 0; });
    if (request.tenant > 0) attempt(request, [](auto& r) { r.tenant = 0; });
  }
}

}  // namespace

std::vector<SimulatedRequest> shrink(std::vector<SimulatedRequest> load, const LoadFails& fails) {
  take_out_requests(load, fails);
  simplify(load, fails);
  take_out_requests(load, fails);
  return load;
}

std::string StressFailure::text() const {
  std::string out = message + "\nreplay: tern bench simulate --stress --requests 200 --seed " + std::to_string(seed) +
                    "\nstill fails with these " + std::to_string(smallest.size()) + " requests:\n";
  for (const SimulatedRequest& r : smallest) {
    out += "  " + std::to_string(r.id) + ": prompt " + std::to_string(r.prompt.size()) + ", answer " +
           std::to_string(r.max_tokens) + ", tenant " + std::to_string(r.tenant) + ", priority " +
           std::to_string(r.priority) + ", salt " + std::to_string(r.salt) + ", pause " + std::to_string(r.pause_ns) +
           ", parent " + std::to_string(r.parent) + ", leader " + std::to_string(r.leader) + ", deadline " +
           std::to_string(r.deadline_ns);
    if (r.fault.kind == Fault::Kind::kCancel) {
      out += ", cancelled in turn " + std::to_string(r.fault.turn) + ", phase " +
             std::to_string(static_cast<int>(r.fault.phase));
    } else if (r.fault.kind == Fault::Kind::kNotFinite) {
      out += ", answer token " + std::to_string(r.fault.turn) + " not finite";
    }
    out += "\n";
  }
  return out;
}

}  // namespace tern
