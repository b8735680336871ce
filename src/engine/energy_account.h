// Whose a device's energy is: joules of prompts and of answers, from a counter that is read every now and then.
//
// The counter is read at most once in a window of 1 s: NVML's moves every 20 to 100 ms and takes 4 ms to read. What it
// rose by is divided among the steps of the window by their time, a step of both kinds by the part that its answers
// alone would have taken; then among the tokens of each kind. While the engine has nothing to do nobody is charged.
// Engine thread only; allocates nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace tern {

// Of one kind of tokens.
struct EnergyOfTokens {
  double joules = 0;
  int64_t tokens = 0;  // that these were taken for
};

struct EnergyTotals {
  EnergyOfTokens prompts, answers;
};

// What one step did.
struct EnergyStep {
  double prompts_ns = 0, answers_ns = 0;  // its time, divided
  int64_t prompt_tokens = 0, answer_tokens = 0;
};

class EnergyAccount {
 public:
  // The counter's joules, nothing where there is none. Empty: nothing is ever counted.
  using Meter = std::function<std::optional<double>()>;
  explicit EnergyAccount(Meter meter) : meter_(std::move(meter)) {}

  // The engine has work again.
  void resume(int64_t now_ns);
  // A step has ended. True when a window has ended with it: the rates are those of that window.
  bool add(const EnergyStep& step, int64_t now_ns);
  // Ends the window now, so that its tokens' joules are known; true as above.
  bool close(int64_t now_ns);

  // Joules of a token, in the last window that had such tokens; nothing before.
  std::optional<double> prompt_rate() const { return prompt_rate_; }
  std::optional<double> answer_rate() const { return answer_rate_; }
  const EnergyTotals& totals() const { return totals_; }

 private:
  static void charge(double joules, int64_t tokens, EnergyOfTokens& total, std::optional<double>& rate);

  Meter meter_;
  std::optional<double> last_joules_;
  int64_t opened_ns_ = 0;
  EnergyStep window_;
  EnergyTotals totals_;
  std::optional<double> prompt_rate_, answer_rate_;
};

}  // namespace tern
