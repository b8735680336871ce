#include "engine/energy_account.h"

namespace tern {
namespace {

constexpr int64_t kWindowNs = 1'000'000'000;

}  // namespace

void EnergyAccount::resume(int64_t now_ns) {
  if (!meter_) return;
  last_joules_ = meter_();
  opened_ns_ = now_ns;
  window_ = {};
}

bool EnergyAccount::add(const EnergyStep& step, int64_t now_ns) {
  if (!last_joules_) return false;
  window_.prompts_ns += step.prompts_ns;
  window_.answers_ns += step.answers_ns;
  window_.prompt_tokens += step.prompt_tokens;
  window_.answer_tokens += step.answer_tokens;
  return now_ns - opened_ns_ >= kWindowNs && close(now_ns);
}

bool EnergyAccount::close(int64_t now_ns) {
  const double all_ns = window_.prompts_ns + window_.answers_ns;
  if (!last_joules_ || all_ns <= 0) return false;
  const std::optional<double> joules = meter_();
  if (!joules) return false;
  const double risen = *joules - *last_joules_;
  charge(risen * window_.prompts_ns / all_ns, window_.prompt_tokens, totals_.prompts, prompt_rate_);
  charge(risen * window_.answers_ns / all_ns, window_.answer_tokens, totals_.answers, answer_rate_);
  last_joules_ = joules;
  opened_ns_ = now_ns;
  window_ = {};
  return true;
}

void EnergyAccount::charge(double joules, int64_t tokens, EnergyOfTokens& total, std::optional<double>& rate) {
  total.joules += joules;
  total.tokens += tokens;
  if (tokens > 0) rate = joules / static_cast<double>(tokens);
}

}  // namespace tern
