#include "model/open_model.h"

#include "model/synthetic/synthetic_model.h"

namespace tern {

std::shared_ptr<const Checkpoint> open_model(const std::string& model, Weights weights, int threads) {
  if (!is_synthetic(model)) return open_checkpoint(model);
  return SyntheticModel(parse_synthetic(model)).open(weights == Weights::kReady, threads);
}

}  // namespace tern
