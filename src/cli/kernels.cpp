// tern kernels: every implementation of every kernel family, in order of preference, and whether this machine has it
// ("slow": it has, but other rows go first; "off": TERN_KERNELS forbids it).
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/subcommands.h"
#include "kernels/selection.h"

namespace tern {
namespace {

std::string needs_text(uint32_t needs) {
  std::string text;
  const auto add = [&](uint32_t bit, const char* name) {
    if ((needs & bit) != 0) text += (text.empty() ? "" : "+") + std::string(name);
  };
  add(kIsaAvx2, "avx2");
  add(kIsaAvx512, "avx512");
  add(kIsaAvx512Vnni, "avx512_vnni");
  add(kIsaAvx512Bf16, "avx512_bf16");
  add(kIsaAmxInt8, "amx_int8");
  add(kIsaAmxBf16, "amx_bf16");
  add(kIsaFastBf16Dot, "fast_bf16_dot");
  return text;
}

void print_json(const KernelSelection& selection) {
  auto rows = nlohmann::ordered_json::array();
  for (const KernelListing& row : list_kernels()) {
    rows.push_back({{"family", row.family},
                    {"name", row.name},
                    {"needs", needs_text(row.needs)},
                    {"available", row.available},
                    {"fast", row.fast},
                    {"allowed", selection.allows(row.family, row.name, row.needs)}});
  }
  nlohmann::ordered_json out;
  out["isa"] = needs_text(selection.isa());
  out["kernels"] = std::move(rows);
  std::printf("%s\n", out.dump().c_str());
}

}  // namespace

void Subcommands::add_kernels(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("kernels", "List kernel implementations (TERN_KERNELS forces some)");
  command->add_flag("--json", *json, "As one JSON object");
  command->callback([json] {
    const KernelSelection selection = KernelSelection::from_environment();
    if (*json) return print_json(selection);
    std::printf("%-12s %-26s %-26s %s\n", "family", "name", "needs", "here");
    for (const KernelListing& row : list_kernels()) {
      const bool allowed = selection.allows(row.family, row.name, row.needs);
      std::printf("%-12s %-26s %-26s %s\n", std::string(row.family).c_str(), std::string(row.name).c_str(),
                  needs_text(row.needs).c_str(),
                  !row.available ? "no"
                  : !allowed     ? "off"
                  : row.fast     ? "yes"
                                 : "slow");
    }
  });
}

}  // namespace tern
