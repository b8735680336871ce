// Which implementations may be used: what the processor has, narrowed by TERN_KERNELS.
//
// TERN_KERNELS is a comma list of NAME or FAMILY:NAME. "ref" forces the reference implementations everywhere;
// "avx2" forces a set everywhere it exists; "linear:avx2" only in one family. A name matches an implementation that is
// called so or starts with it and an underscore ("avx2" matches "avx2_q4x32"). Families always fall back to ref when
// nothing else supports a shape; only a forced name that nobody has, or that this processor cannot run, is an error. A
// rule for one family goes before one for all.
// A value; create it once at start. Thread-safe to read.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/isa.h"

namespace tern {

uint32_t detect_isa();

class KernelSelection {
 public:
  KernelSelection() : isa_(detect_isa()) {}
  // Throws bad_input naming the entry when the list is malformed or names a family that does not exist.
  static KernelSelection parse(std::string_view list);
  static KernelSelection from_environment();  // TERN_KERNELS

  uint32_t isa() const { return isa_; }
  // Whether implementation `name` of `family`, needing `needs`, may be chosen.
  bool allows(std::string_view family, std::string_view name, uint32_t needs) const;
  // True when everything runs on the reference implementations.
  bool ref_everywhere() const;

 private:
  struct Rule {
    std::string family;  // empty: every family
    std::string name;
  };
  uint32_t isa_;
  std::vector<Rule> rules_;
};

// One implementation, for `tern kernels`.
struct KernelListing {
  std::string_view family;
  std::string_view name;
  uint32_t needs;
  bool available;    // this processor has what it needs
  bool fast = true;  // and what it is fast with: otherwise all rows without that condition go before it
};
std::vector<KernelListing> list_kernels();

// The rows of a family's table, which is spans of implementations in order of preference.
template <typename Spans>
std::vector<KernelListing> list_family(std::string_view family, const Spans& spans) {
  std::vector<KernelListing> listing;
  const uint32_t isa = detect_isa();
  for (const auto* span : spans) {
    for (int i = 0; i < span->count; ++i) {
      const auto& row = span->rows[i];
      listing.push_back({family, row.name, row.needs, (row.needs & ~isa) == 0});
      if constexpr (requires { row.fast_with; }) listing.back().fast = (row.fast_with & ~isa) == 0;
    }
  }
  return listing;
}

// The first row that is allowed and of which `supports(row)` holds; null when there is none.
template <typename Spans, typename Supports>
auto first_allowed(std::string_view family, const Spans& spans, const KernelSelection& selection, Supports supports)
    -> decltype(&(*std::begin(spans))->rows[0]) {
  for (const auto* span : spans) {
    for (int i = 0; i < span->count; ++i) {
      const auto& row = span->rows[i];
      if (supports(row) && selection.allows(family, row.name, row.needs)) return &row;
    }
  }
  return nullptr;
}

}  // namespace tern
