#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/bench_roofline.h"

namespace tern {
namespace {

// As for every comparison of this project (docs/performance).
constexpr double kVoidChange = 0.1;

nlohmann::ordered_json rates_json(const MachineLimits& limits) {
  return {{"read_4k_gbps", limits.read_4k_gbps},
          {"read_huge_gbps", limits.read_huge_gbps},
          {"l2_gbps", limits.l2_gbps},
          {"l3_gbps", limits.l3_gbps},
          {"int8_gops", limits.int8_gops},
          {"bf16_gflops", limits.bf16_gflops},
          {"f32_gflops", limits.f32_gflops},
          {"int8_tile_gops", limits.int8_tile_gops},
          {"bf16_tile_gflops", limits.bf16_tile_gflops},
          {"threads", limits.threads}};
}

// Those of the most threads, and all of them by threads.
nlohmann::ordered_json limits_json(const std::vector<MachineLimits>& all) {
  nlohmann::ordered_json out = rates_json(all.back());
  out["l2_bytes"] = all.back().l2_bytes;
  out["l3_bytes"] = all.back().l3_bytes;
  for (const LoopRate& loop : all.back().loops) out["loops"][loop.name] = loop.rate;
  for (const MachineLimits& limits : all) out["by_threads"].push_back(rates_json(limits));
  return out;
}

nlohmann::ordered_json phase_json(const RooflinePhase& phase) {
  return {{"phase", phase.name},
          {"n_threads", phase.threads},
          {"n_sequences", phase.sequences},
          {"n_tokens", phase.tokens},
          {"n_depth", phase.depth}};
}

nlohmann::ordered_json row_json(const RooflinePhase& phase, const RooflineRow& row) {
  nlohmann::ordered_json out{{"name", row.name}, {"kernel", row.kernel}, {"us", row.us},       {"bytes", row.bytes},
                             {"ops", row.ops},   {"bound", row.bound},   {"share", row.share}, {"count", row.count}};
  out.update(phase_json(phase));
  return out;
}

nlohmann::ordered_json summary_json(const RooflinePhase& phase) {
  nlohmann::ordered_json out = phase_json(phase);
  const RooflineRow &lowest = phase.result.lowest_share(), &lost = phase.result.most_lost();
  out["step_us"] = phase.result.step_us;
  out["waiting_us"] = phase.result.waiting_us;
  out["lowest_share"] = {{"name", lowest.name}, {"share", lowest.share}};
  out["most_lost"] = {{"name", lost.name}, {"us", lost.lost_us()}};
  return out;
}

std::string limits_text(const std::vector<MachineLimits>& all) {
  std::string text =
      "| threads | read 4k GB/s | read huge GB/s | L3 GB/s | L2 GB/s | int8 GOP/s | bf16 GFLOP/s | f32 GFLOP/s | "
      "int8 tiles GOP/s | bf16 tiles GFLOP/s |\n"
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const MachineLimits& l : all) {
    text += fmt::format("| {} | {:.1f} | {:.1f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} |\n",
                        l.threads, l.read_4k_gbps, l.read_huge_gbps, l.l3_gbps, l.l2_gbps, l.int8_gops, l.bf16_gflops,
                        l.f32_gflops, l.int8_tile_gops, l.bf16_tile_gflops);
  }
  return text;
}

std::string title_of(const RooflinePhase& phase) {
  if (phase.name == "prompt") return fmt::format("a prompt's {} tokens at depth {}", phase.tokens, phase.depth);
  return fmt::format("decode of {} sequence{} at depth {}", phase.sequences, phase.sequences == 1 ? "" : "s",
                     phase.depth);
}

std::string phase_text(const RooflinePhase& phase) {
  const Roofline& r = phase.result;
  const auto percent = [&](double us) { return 100 * us / r.step_us; };
  std::string text = fmt::format("\n{}, {} thread{}: {:.1f} us a step\n\n", title_of(phase), phase.threads,
                                 phase.threads == 1 ? "" : "s", r.step_us);
  text += "| op | kernel | ops | us | % of step | GB/s | GOP/s | bound | share |\n";
  text += "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |\n";
  for (const RooflineRow& row : r.rows) {
    text += fmt::format("| {} | {} | {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} | {} | {:.3f} |\n", row.name, row.kernel,
                        row.count, row.us, percent(row.us), row.bytes / row.us / 1e3, row.ops / row.us / 1e3, row.bound,
                        row.share);
  }
  text += fmt::format("| waiting | | | {:.1f} | {:.1f} | | | | |\n\n", r.waiting_us, percent(r.waiting_us));
  const RooflineRow &lowest = r.lowest_share(), &lost = r.most_lost();
  text +=
      fmt::format("furthest from its limit: {} (share {:.3f}); most time lost: {} ({:.1f} us, {:.1f} % of the step)\n",
                  lowest.name, lowest.share, lost.name, lost.lost_us(), percent(lost.lost_us()));
  return text;
}

}  // namespace

nlohmann::ordered_json to_json(const RooflineReport& report) {
  nlohmann::ordered_json out;
  out["limits"] = limits_json(report.limits);
  out["ops"] = nlohmann::ordered_json::array();
  if (report.model_type.empty()) return out;
  out["model_type"] = report.model_type;
  out["limits"]["read_again_gbps"] = report.read_again_gbps;
  for (const RooflinePhase& phase : report.phases) {
    for (const RooflineRow& row : phase.result.rows) out["ops"].push_back(row_json(phase, row));
    out["phases"].push_back(summary_json(phase));
  }
  return out;
}

std::string to_markdown(const RooflineReport& report) {
  std::string text = limits_text(report.limits);
  if (!report.model_type.empty()) text += "\n" + report.model_type + "\n";
  for (const RooflinePhase& phase : report.phases) text += phase_text(phase);
  if (report.phases.empty()) return text;
  const double before = report.limits.back().read_gbps(), change = report.read_again_gbps / before - 1;
  text += fmt::format("\nreading again at the end: {:.1f} GB/s ({:+.0f} %){}\n", report.read_again_gbps, 100 * change,
                      std::abs(change) > kVoidChange ? ": the machine changed meanwhile, run this again" : "");
  return text;
}

}  // namespace tern
