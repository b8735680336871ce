// The counters are made up: folders as the kernel's, and a library (fake_nvml.cpp) of NVML's names.
#include "device/power_meter.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace tern {
namespace {

class Rapl : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(testing::TempDir()) /
            ("tern_rapl_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& zone, uint64_t energy, uint64_t range = 1000000) {
    std::filesystem::create_directories(root_ / zone);
    std::ofstream(root_ / zone / "energy_uj") << energy << "\n";
    std::ofstream(root_ / zone / "max_energy_range_uj") << range << "\n";
  }

  std::filesystem::path root_;
};

TEST_F(Rapl, PackagesAreSummedAndTheirPartsAreNot) {
  write("intel-rapl:0", 100000);
  write("intel-rapl:0:0", 5);
  write("intel-rapl:1", 0);
  PowerMeter meter = PowerMeter::of_cpu(root_.string());
  EXPECT_EQ(meter.description(), "RAPL");
  const auto before = meter.joules();
  ASSERT_TRUE(before);
  write("intel-rapl:0", 350000);
  write("intel-rapl:0:0", 200000);
  write("intel-rapl:1", 500000);
  const auto after = meter.joules();
  ASSERT_TRUE(after);
  EXPECT_NEAR(*after - *before, 0.75, 1e-9);
}

TEST_F(Rapl, ACounterThatCameRoundGoesOn) {
  write("intel-rapl:0", 900000);
  PowerMeter meter = PowerMeter::of_cpu(root_.string());
  write("intel-rapl:0", 50000);
  EXPECT_NEAR(meter.joules().value_or(-1), 0.15, 1e-9);
}

TEST_F(Rapl, WithoutACounterItSaysWhy) {
  PowerMeter none = PowerMeter::of_cpu(root_.string());
  EXPECT_FALSE(none.joules());
  EXPECT_EQ(none.description(), "no RAPL under " + root_.string());
  write("intel-rapl:0", 1);
  std::filesystem::create_directories(root_ / "intel-rapl:1");  // a package that may not be read
  PowerMeter half = PowerMeter::of_cpu(root_.string());
  EXPECT_FALSE(half.joules());
  EXPECT_EQ(half.description(), (root_ / "intel-rapl:1" / "energy_uj").string() + " cannot be read");
}

TEST(Nvml, TheCounterOfTheGpuAtTheAddress) {
  PowerMeter meter = PowerMeter::of_gpu("0000:01:00.0", TERN_FAKE_NVML);
  EXPECT_EQ(meter.description(), "NVML");
  const auto before = meter.joules(), after = meter.joules();
  ASSERT_TRUE(before && after);
  EXPECT_NEAR(*after - *before, 2.5, 1e-9);  // 2500 mJ a call
}

TEST(Nvml, WithoutACounterItSaysWhy) {
  PowerMeter stranger = PowerMeter::of_gpu("0000:02:00.0", TERN_FAKE_NVML);
  EXPECT_FALSE(stranger.joules());
  EXPECT_EQ(stranger.description(), "NVML does not know the GPU at 0000:02:00.0: error 6");
  PowerMeter missing = PowerMeter::of_gpu("0000:01:00.0", "libtern_no_such_nvml.so.1");
  EXPECT_FALSE(missing.joules());
  EXPECT_EQ(missing.description(), "there is no libtern_no_such_nvml.so.1");
}

}  // namespace
}  // namespace tern
