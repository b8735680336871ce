#include "engine/simulate/fake_device.h"

#include <algorithm>

namespace tern {
namespace {

[[noreturn]] void wrong_read(const FakeDevice::Work& work, size_t group, int64_t position, const char* what) {
  throw SimulationFailure("I4: request " + std::to_string(work.owner) + " computes from " + std::to_string(work.begin) +
                          " and reads " + what + " at position " + std::to_string(position) + " of group " +
                          std::to_string(group));
}

}  // namespace

FakeDevice::FakeDevice(const FakeModel& model, std::span<const KvGroup> groups, int64_t block_tokens,
                       int64_t reach_tokens)
    : model_(model), block_tokens_(block_tokens), reach_tokens_(reach_tokens) {
  for (const KvGroup& group : groups) slots_.emplace_back(static_cast<size_t>(group.blocks * block_tokens));
}

void FakeDevice::copy(const BlockCopy& copy) {
  const auto group = static_cast<size_t>(copy.group);
  std::copy_n(page(group, copy.from), block_tokens_, page(group, copy.to));
}

FakeDevice::Slot& FakeDevice::slot(const Work& work, size_t group, int64_t position) {
  const std::span<const int32_t> table = work.tables[group];
  const auto at = static_cast<size_t>(position / block_tokens_);
  if (at >= table.size() || table[at] == KvCache::kNoBlock) wrong_read(work, group, position, "no block");
  return page(group, table[at])[position % block_tokens_];
}

std::optional<uint64_t> FakeDevice::run(const Work& work) {
  bool finite = true;
  uint64_t logits = FakeModel::kRootValue;
  for (size_t group = 0; group < slots_.size(); ++group) {
    check_reach(work, group);
    write(work, group);
    logits = FakeModel::fold(logits, read(work, group, finite));
  }
  if (!finite) return std::nullopt;
  return logits;
}

// Kernels load whole tiles: the blocks must be there from the start of the first one on.
void FakeDevice::check_reach(const Work& work, size_t group) const {
  const int64_t first = model_.first_seen(group, work.begin) / reach_tokens_ * reach_tokens_ / block_tokens_;
  const std::span<const int32_t> table = work.tables[group];
  for (auto i = static_cast<size_t>(first); i < table.size(); ++i) {
    if (table[i] == KvCache::kNoBlock) {
      wrong_read(work, group, static_cast<int64_t>(i) * block_tokens_, "a block that was given back");
    }
  }
}

// A new position's value comes from the page of the one before, where the window lets it see that.
void FakeDevice::write(const Work& work, size_t group) {
  uint64_t before = FakeModel::kRootValue;
  if (work.begin > 0) {
    const bool sees = model_.first_seen(group, work.begin) < work.begin;
    before = sees ? slot(work, group, work.begin - 1).value : work.chain->value(work.begin - 1);
  }
  for (int64_t p = work.begin; p < work.begin + work.tokens; ++p) {
    const int32_t token = work.chain->token(p);
    before = FakeModel::value(before, token, p);
    slot(work, group, p) = {before, work.owner, static_cast<int32_t>(p), token, work.salt, !work.not_finite};
  }
}

uint64_t FakeDevice::read(const Work& work, size_t group, bool& finite) {
  const int64_t end = work.begin + work.tokens;
  const int64_t seen_by_last = model_.first_seen(group, end - 1);
  uint64_t sum = 0;
  for (int64_t p = model_.first_seen(group, work.begin); p < end; ++p) {
    const Slot& s = slot(work, group, p);
    if (s.position != p) wrong_read(work, group, p, "what was written for another place, or never");
    if (s.salt != work.salt) wrong_read(work, group, p, "what was written under another salt");
    if (s.value != work.chain->value(p)) wrong_read(work, group, p, "what other tokens have written");
    if (!s.finite && s.owner != work.owner) wrong_read(work, group, p, "another's numbers that are not finite");
    finite = finite && s.finite;
    if (p >= seen_by_last) sum += FakeModel::term(s.value, p);
  }
  return sum;
}

bool FakeDevice::holds(size_t group, int32_t block, const TokenChain& chain, int64_t begin, int32_t salt) const {
  const Slot* slots = page(group, block);
  for (int64_t i = 0; i < block_tokens_; ++i) {
    const Slot& s = slots[i];
    if (s.position != begin + i || s.value != chain.value(begin + i) || s.salt != salt || !s.finite) return false;
  }
  return true;
}

bool FakeDevice::whole(size_t group, int32_t block) const {
  const Slot* slots = page(group, block);
  if (slots[0].position < 0 || slots[0].position % block_tokens_ != 0 || !slots[0].finite) return false;
  for (int64_t i = 1; i < block_tokens_; ++i) {
    const Slot &s = slots[i], &before = slots[i - 1];
    if (s.position != before.position + 1 || s.salt != before.salt || !s.finite ||
        s.value != FakeModel::value(before.value, s.token, s.position)) {
      return false;
    }
  }
  return true;
}

}  // namespace tern
