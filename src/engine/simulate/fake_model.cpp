#include "engine/simulate/fake_model.h"

namespace tern {

int32_t FakeModel::sample(uint64_t logits, uint64_t seed) const {
  const uint64_t bits = mix64(logits + seed);
  if (bits >> 59 == 0) return kEndToken;
  return 1 + static_cast<int32_t>(bits % static_cast<uint64_t>(vocabulary - 1));
}

void TokenChain::append(int32_t token) {
  const int64_t position = size();
  values_.push_back(FakeModel::value(position == 0 ? FakeModel::kRootValue : values_.back(), token, position));
  tokens_.push_back(token);
  sums_.push_back(sums_.back() + FakeModel::term(values_.back(), position));
}

uint64_t TokenChain::logits() const {
  uint64_t logits = FakeModel::kRootValue;
  for (size_t group = 0; group < model_->windows.size(); ++group) {
    const auto first = static_cast<size_t>(model_->first_seen(group, size() - 1));
    logits = FakeModel::fold(logits, sums_.back() - sums_[first]);
  }
  return logits;
}

}  // namespace tern
