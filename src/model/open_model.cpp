#include "model/open_model.h"

#include "formats/quantized/assemble.h"
#include "model/synthetic/synthetic_model.h"

namespace tern {

std::shared_ptr<const Checkpoint> open_model(const std::string& model, Weights weights, int threads) {
  if (is_synthetic(model)) return SyntheticModel(parse_synthetic(model)).open(weights == Weights::kReady, threads);
  return assembled(open_checkpoint(model), weights == Weights::kReady, threads);
}

}  // namespace tern
