// Energy by kind of token: what a counter rises by is divided once, all of it, and only while the engine works.
#include "engine/energy_account.h"

#include <gtest/gtest.h>

namespace tern {
namespace {

constexpr int64_t kPercent = 10'000'000;  // of a window, in ns

struct Counter {
  std::optional<double> joules = 1000;
  EnergyAccount account{[this] { return joules; }};
};

TEST(EnergyAccount, AWindowsRiseIsDividedByTimeAndThenByTokens) {
  Counter c;
  c.account.resume(0);
  c.joules = 1004;
  EXPECT_FALSE(c.account.add({.prompts_ns = 30e6, .prompt_tokens = 300}, 30 * kPercent)) << "too soon to read";
  EXPECT_FALSE(c.account.answer_rate());
  c.joules = 1010;
  EXPECT_TRUE(c.account.add({.prompts_ns = 10e6, .answers_ns = 60e6, .prompt_tokens = 100, .answer_tokens = 3},
                            100 * kPercent));
  EXPECT_DOUBLE_EQ(c.account.totals().prompts.joules, 4);  // 40 of 100 ms
  EXPECT_DOUBLE_EQ(c.account.totals().answers.joules, 6);
  EXPECT_DOUBLE_EQ(*c.account.prompt_rate(), 4.0 / 400);
  EXPECT_DOUBLE_EQ(*c.account.answer_rate(), 2);
}

TEST(EnergyAccount, TheNextWindowBeginsWhereTheLastEnded) {
  Counter c;
  c.account.resume(0);
  c.joules = 1005;
  EXPECT_TRUE(c.account.add({.answers_ns = 1e6, .answer_tokens = 1}, 100 * kPercent));
  c.joules = 1006;
  EXPECT_FALSE(c.account.add({.answers_ns = 1e6, .answer_tokens = 2}, 150 * kPercent));
  EXPECT_TRUE(c.account.close(151 * kPercent));
  EXPECT_DOUBLE_EQ(c.account.totals().answers.joules, 6);
  EXPECT_EQ(c.account.totals().answers.tokens, 3);
  EXPECT_DOUBLE_EQ(*c.account.answer_rate(), 0.5);
  EXPECT_FALSE(c.account.close(152 * kPercent)) << "nothing was done since";
}

TEST(EnergyAccount, WhatIsTakenInIdlenessIsNobodys) {
  Counter c;
  c.account.resume(0);
  EXPECT_FALSE(c.account.add({.answers_ns = 1e6, .answer_tokens = 1}, 10 * kPercent));
  c.joules = 5000;  // much later
  c.account.resume(3600 * 1000 * kPercent);
  c.joules = 5001;
  EXPECT_TRUE(c.account.add({.answers_ns = 1e6, .answer_tokens = 1}, 3600 * 1000 * kPercent + 100 * kPercent));
  EXPECT_DOUBLE_EQ(c.account.totals().answers.joules, 1);
}

TEST(EnergyAccount, WithoutACounterNothingIsCounted) {
  Counter c;
  c.joules = std::nullopt;
  c.account.resume(0);
  EXPECT_FALSE(c.account.add({.answers_ns = 1e6, .answer_tokens = 1}, 200 * kPercent));
  EXPECT_EQ(c.account.totals().answers.tokens, 0);
  EnergyAccount none{EnergyAccount::Meter()};
  none.resume(0);
  EXPECT_FALSE(none.add({.answers_ns = 1e6, .answer_tokens = 1}, 200 * kPercent));
  EXPECT_FALSE(none.answer_rate());
}

}  // namespace
}  // namespace tern
