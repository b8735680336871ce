#include "kernels/selection.h"

#include <fmt/core.h>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "kernels/activation/glu.h"
#include "kernels/attention/attention.h"
#include "kernels/linear/linear.h"
#include "kernels/norm/norm.h"
#include "kernels/rope/rope.h"
#include "kernels/sample/row_scan.h"

namespace tern {
namespace {

bool name_matches(std::string_view implementation, std::string_view wanted) {
  if (!implementation.starts_with(wanted)) return false;
  return implementation.size() == wanted.size() || implementation[wanted.size()] == '_';
}

// Linux lets a process use tiles when it has asked: their state is 8 KiB a thread that nobody else should pay for. The
// answer holds for all threads; a kernel or processor without tiles says no.
uint32_t detect_amx() {
  uint32_t isa = kIsaNone;
#if defined(__x86_64__) && defined(__linux__)
  constexpr int kRequestStateComponent = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d >> 24 & 1) == 0) return isa;  // AMX-TILE
  if (syscall(SYS_arch_prctl, kRequestStateComponent, kTileData) != 0) return isa;
  if ((d >> 25 & 1) != 0) isa |= kIsaAmxInt8;
  if ((d >> 22 & 1) != 0) isa |= kIsaAmxBf16;
#endif
  return isa;
}

uint32_t detect() {
  uint32_t isa = kIsaNone;
#if defined(__x86_64__)  // the builtin asks the operating system's masks too
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
      __builtin_cpu_supports("bmi2")) {
    isa |= kIsaAvx2;
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi")) {
    isa |= kIsaAvx512;
    if (__builtin_cpu_supports("avx512vnni")) isa |= kIsaAvx512Vnni;
    if (__builtin_cpu_supports("avx512bf16")) {
      isa |= kIsaAvx512Bf16;
      if (!__builtin_cpu_is("intel")) isa |= kIsaFastBf16Dot;
    }
    isa |= detect_amx();
  }
#endif
  return isa;
}

}  // namespace

uint32_t detect_isa() {
  static const uint32_t isa = detect();
  return isa;
}

KernelSelection KernelSelection::parse(std::string_view list) {
  KernelSelection selection;
  const std::vector<KernelListing> all = list_kernels();
  std::vector<Rule> everywhere;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view entry = list.substr(begin, end - begin);
    begin = end + 1;
    const size_t colon = entry.find(':');
    const std::string_view family = colon == entry.npos ? std::string_view{} : entry.substr(0, colon);
    const std::string_view name = colon == entry.npos ? entry : entry.substr(colon + 1);
    if (name.empty() || colon == 0 || name.find(':') != name.npos) {
      bad_input(fmt::format("[kernels] TERN_KERNELS: \"{}\" is not NAME or FAMILY:NAME", printable(entry)));
    }
    const auto in_family = [&](const KernelListing& k) { return family.empty() || k.family == family; };
    if (std::none_of(all.begin(), all.end(), in_family)) {
      bad_input(fmt::format("[kernels] TERN_KERNELS: no family \"{}\"", printable(family)));
    }
    bool known = name == "ref";
    bool available = known;
    for (const KernelListing& kernel : all) {
      if (!in_family(kernel) || !name_matches(kernel.name, name)) continue;
      known = true;
      available |= kernel.available;
    }
    if (!known) bad_input(fmt::format("[kernels] TERN_KERNELS: nothing is called \"{}\"", printable(entry)));
    if (!available)
      bad_input(fmt::format("[kernels] TERN_KERNELS: this processor cannot run \"{}\"", printable(entry)));
    (family.empty() ? everywhere : selection.rules_).push_back({std::string(family), std::string(name)});
  }
  // A rule for one family goes before one for all; in a family that does not have it, a rule for all says nothing.
  const size_t specific = selection.rules_.size();
  for (const Rule& rule : everywhere) {
    if (rule.name == "ref") selection.rules_.push_back(rule);
    for (const KernelListing& kernel : all) {
      if (rule.name == "ref" || !name_matches(kernel.name, rule.name)) continue;
      const auto begin = selection.rules_.begin();
      const auto same_family = [&](const Rule& r) { return r.family == kernel.family; };
      if (std::any_of(begin, begin + static_cast<std::ptrdiff_t>(specific), same_family)) continue;
      selection.rules_.push_back({std::string(kernel.family), rule.name});
    }
  }
  return selection;
}

KernelSelection KernelSelection::from_environment() {
  const char* list = std::getenv("TERN_KERNELS");
  return parse(list == nullptr ? "" : list);
}

bool KernelSelection::allows(std::string_view family, std::string_view name, uint32_t needs) const {
  if ((needs & ~isa_) != 0) return false;
  if (name == "ref") return true;
  bool any_rule = false;
  for (const Rule& rule : rules_) {
    if (rule.family != family) continue;
    any_rule = true;
    if (name_matches(name, rule.name)) return true;
  }
  if (any_rule) return false;
  return std::none_of(rules_.begin(), rules_.end(), [](const Rule& rule) { return rule.family.empty(); });
}

bool KernelSelection::ref_everywhere() const {
  return !rules_.empty() && std::all_of(rules_.begin(), rules_.end(), [](const Rule& r) { return r.name == "ref"; }) &&
         std::any_of(rules_.begin(), rules_.end(), [](const Rule& r) { return r.family.empty(); });
}

std::vector<KernelListing> list_kernels() {
  std::vector<KernelListing> all;
  const uint32_t isa = detect_isa();
  const auto add = [&](std::string_view family, const char* name, uint32_t needs) {
    all.push_back({family, name, needs, (needs & ~isa) == 0});
  };
  for (const LinearImpl* impl : linear_impls()) add("linear", impl->name, impl->needs);
  for (const auto& listing : {attention_listing(), norm_listing(), rope_listing(), glu_listing(), row_scan_listing()}) {
    all.insert(all.end(), listing.begin(), listing.end());
  }
  return all;
}

}  // namespace tern
