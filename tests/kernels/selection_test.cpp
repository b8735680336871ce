#include "kernels/selection.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"

namespace tern {
namespace {

TEST(Selection, EmptyAllowsWhatTheProcessorHas) {
  const KernelSelection selection = KernelSelection::parse("");
  EXPECT_TRUE(selection.allows("linear", "anything", selection.isa()));
  EXPECT_FALSE(selection.allows("linear", "anything", 1u << 31));
  EXPECT_FALSE(selection.ref_everywhere());
}

TEST(Selection, RefEverywhere) {
  const KernelSelection selection = KernelSelection::parse("ref");
  EXPECT_TRUE(selection.ref_everywhere());
  EXPECT_TRUE(selection.allows("norm", "ref", kIsaNone));
  EXPECT_FALSE(selection.allows("norm", "avx2", kIsaNone));
  EXPECT_FALSE(selection.allows("linear", "avx512_q4x32", kIsaNone));
}

TEST(Selection, OneFamily) {
  const KernelSelection selection = KernelSelection::parse("linear:ref");
  EXPECT_FALSE(selection.ref_everywhere());
  EXPECT_FALSE(selection.allows("linear", "avx2_q4x32", kIsaNone));
  EXPECT_TRUE(selection.allows("attention", "avx2", kIsaNone));
}

TEST(Selection, NameMatchesWholeWords) {
  if ((detect_isa() & kIsaAvx2) == 0) GTEST_SKIP() << "no AVX2";
  const KernelSelection selection = KernelSelection::parse("linear:avx2");
  EXPECT_TRUE(selection.allows("linear", "avx2", kIsaAvx2));
  EXPECT_TRUE(selection.allows("linear", "avx2_q4x32", kIsaAvx2));
  EXPECT_FALSE(selection.allows("linear", "avx2x", kIsaAvx2));
  EXPECT_FALSE(selection.allows("linear", "avx512_q4x32", kIsaAvx2));
  EXPECT_TRUE(selection.allows("linear", "ref", kIsaNone));
}

TEST(Selection, RuleForOneFamilyGoesFirst) {
  if ((detect_isa() & kIsaAvx2) == 0) GTEST_SKIP() << "no AVX2";
  for (const char* list : {"ref,linear:avx2", "linear:avx2,ref"}) {
    const KernelSelection selection = KernelSelection::parse(list);
    EXPECT_TRUE(selection.allows("linear", "avx2_q4x32", kIsaAvx2)) << list;
    EXPECT_FALSE(selection.allows("norm", "avx2", kIsaAvx2)) << list;
    EXPECT_FALSE(selection.ref_everywhere()) << list;
  }
}

TEST(Selection, RefusesWhatNobodyHas) {
  for (const char* list : {"avx1024", "nofamily:ref", "linear:", ":ref", "linear:a:b", "ref,,ref", "linear:avx"}) {
    EXPECT_THROW(KernelSelection::parse(list), Error) << list;
  }
}

TEST(Selection, ListNamesEveryRowOnce) {
  const std::vector<KernelListing> all = list_kernels();
  for (const KernelListing& kernel : all) {
    const auto same = [&](const KernelListing& other) {
      return other.family == kernel.family && other.name == kernel.name;
    };
    EXPECT_EQ(std::count_if(all.begin(), all.end(), same), 1) << kernel.family << ":" << kernel.name;
  }
}

}  // namespace
}  // namespace tern
