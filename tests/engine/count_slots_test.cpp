#include "engine/count_slots.h"

#include <gtest/gtest.h>

#include <array>

namespace tern {
namespace {

TEST(CountSlots, GoToWhoHasNoStepInFlight) {
  CountSlots slots(2);
  std::array<Sequence, 4> s;
  for (Sequence& sequence : s) sequence.in_flight = 1;
  EXPECT_TRUE(slots.place(s[0]));
  EXPECT_TRUE(slots.place(s[1]));
  EXPECT_FALSE(slots.place(s[0])) << "it has one";
  EXPECT_NE(s[0].count_slot, s[1].count_slot);
  const int32_t slot = s[1].count_slot;
  s[1].in_flight = 0;
  EXPECT_TRUE(slots.place(s[2]));
  EXPECT_EQ(s[2].count_slot, slot);
  EXPECT_EQ(s[1].count_slot, -1);
  slots.release(s[1]);  // which has none
  s[0].in_flight = 0;
  s[1].in_flight = 1;
  EXPECT_TRUE(slots.place(s[1])) << "to be written again";
  EXPECT_EQ(s[0].count_slot, -1);
}

TEST(CountSlots, FreeOnesAreTakenFirst) {
  CountSlots slots(2);
  std::array<Sequence, 3> s;
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(slots.place(s[i]));
  const int32_t slot = s[1].count_slot;
  slots.release(s[1]);
  EXPECT_EQ(s[1].count_slot, -1);
  EXPECT_TRUE(slots.place(s[2]));
  EXPECT_EQ(s[2].count_slot, slot);
  EXPECT_GE(s[0].count_slot, 0);
}

}  // namespace
}  // namespace tern
