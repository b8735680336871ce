#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "plan/autodeploy/inference.h"

namespace tern {

std::string_view name_of(Certainty certainty) {
  constexpr std::string_view kNames[] = {"stated", "shown", "measured", "told", "convention", "unsure"};
  return kNames[static_cast<size_t>(certainty)];
}

std::string to_string(const Inference& inference) {
  std::string text;
  for (const InferredFact& fact : inference.facts)
    text += fmt::format("{:<20} {:<44} {:<10} {}\n", fact.name, fact.value, name_of(fact.certainty), fact.evidence);
  for (const std::string& doubt : inference.doubts) text += "unsure: " + doubt + "\n";
  return text;
}

void refuse(const Inference& inference) {
  constexpr size_t kShown = 8;
  std::string text =
      inference.checkpoint->metadata.source() + ": the architecture is not known and not surely inferred";
  for (size_t i = 0; i < std::min(kShown, inference.doubts.size()); ++i) text += "; " + inference.doubts[i];
  if (inference.doubts.size() > kShown) text += fmt::format("; and {} more", inference.doubts.size() - kShown);
  bad_input(text);
}

}  // namespace tern
