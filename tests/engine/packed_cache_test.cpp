// Packed weights kept between starts: found, refused, rebuilt and removed; and the same bits whatever happened.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/runner/packed_file.h"
#include "engine/runner/runner.h"
#include "engine/scoring.h"
#include "model/archs/arch.h"
#include "model/passes/passes.h"
#include "support/paths.h"

namespace tern {
namespace {

namespace fs = std::filesystem;
using Logits = std::vector<float>;

struct Start {
  PackCacheReport report;
  Logits logits;
  std::vector<std::string> warnings;
};

// A model loaded, run and destroyed, which also finishes what is being written.
Start start(const fs::path& model, PackCacheOptions cache, const std::string& kernels = "", int threads = 2) {
  Start out;
  cache.min_bytes = 0;
  cache.warn = [&](const std::string& text) { out.warnings.push_back(text); };
  const auto checkpoint = open_checkpoint(model.string());
  const ModelConfig config = model_config(*checkpoint);
  RunnerOptions options;
  options.threads = threads;
  options.max_model_len = options.kv_tokens = 64;
  options.kernels = KernelSelection::parse(kernels);
  options.pack_cache = cache;
  const auto runner = make_cpu_runner(checkpoint, config, lower(arch_of(*checkpoint).program(config)), options);
  const std::vector<int32_t> ids{1, 5, 9, 2, 7, 30, 4};
  score(*runner, {options.max_batched_tokens, options.max_rows, options.block_tokens}, ids, 0,
        [&](int64_t, std::span<const float> row) { out.logits.insert(out.logits.end(), row.begin(), row.end()); });
  out.report = runner->pack_cache();
  return out;
}

bool same_bits(const Logits& a, const Logits& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class PackedCache : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) / ("packed_cache_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    model_ = copy_of_model("model");
    cache_.folder = root_ / "packed";
    plain_ = start(model_, {}).logits;
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path copy_of_model(const std::string& name) const {
    const fs::path path = root_ / (name + ".gguf");
    fs::copy_file(fs::path(test::golden_dir()) / "models" / "llama-tiny" / "model.gguf", path);
    return path;
  }
  std::vector<fs::path> sidecars() const {
    std::vector<fs::path> found;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(cache_.folder, none)) found.push_back(entry.path());
    return found;
  }
  void flip(const fs::path& path, uint64_t offset) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
  }
  // The next start packs anew and keeps that; the one after it finds it.
  void expect_rebuilt(const std::string& reason) {
    const Start miss = start(model_, cache_);
    EXPECT_EQ(miss.report.state, PackCacheState::kMiss) << reason;
    EXPECT_EQ(miss.report.reason, reason);
    EXPECT_TRUE(same_bits(miss.logits, plain_)) << reason;
    const Start hit = start(model_, cache_);
    EXPECT_EQ(hit.report.state, PackCacheState::kHit) << hit.report.reason;
    EXPECT_TRUE(same_bits(hit.logits, plain_)) << reason;
    EXPECT_EQ(sidecars().size(), 1u);
  }

  fs::path root_, model_;
  PackCacheOptions cache_;
  Logits plain_;
};

TEST_F(PackedCache, TheSecondStartFindsWhatTheFirstLeft) {
  expect_rebuilt("none yet");
  const Start again = start(model_, cache_, "", 1);
  EXPECT_EQ(again.report.state, PackCacheState::kHit);
  EXPECT_TRUE(same_bits(again.logits, plain_));
  EXPECT_EQ(again.report.bytes, fs::file_size(sidecars()[0]));
  EXPECT_TRUE(again.warnings.empty());
}

TEST_F(PackedCache, OffKeepsNothing) {
  const Start off = start(model_, {});
  EXPECT_EQ(off.report.state, PackCacheState::kOff);
  EXPECT_TRUE(sidecars().empty());
}

// The reference kernels use the file's bytes as they lie: there is nothing to keep.
TEST_F(PackedCache, EachSetOfKernelsHasItsOwn) {
  EXPECT_EQ(start(model_, cache_, "ref").report.state, PackCacheState::kOff);
  EXPECT_TRUE(sidecars().empty());
  start(model_, cache_);
  if (KernelSelection().isa() & kIsaAvx512) {
    EXPECT_EQ(start(model_, cache_, "avx2").report.reason, "none yet");
    EXPECT_EQ(sidecars().size(), 2u);
    EXPECT_EQ(start(model_, cache_, "avx2").report.state, PackCacheState::kHit);
  }
  EXPECT_EQ(start(model_, cache_).report.state, PackCacheState::kHit);
}

TEST_F(PackedCache, AModelTouchedIsPackedAnew) {
  start(model_, cache_);
  fs::last_write_time(model_, fs::last_write_time(model_) + std::chrono::seconds(1));
  expect_rebuilt("of another version of the model or of tern");
}

TEST_F(PackedCache, AModelOfAnotherLengthIsPackedAnew) {
  start(model_, cache_);
  const auto time = fs::last_write_time(model_);
  std::ofstream(model_, std::ios::app | std::ios::binary) << std::string(64, '\0');
  fs::last_write_time(model_, time);
  expect_rebuilt("of another version of the model or of tern");
}

// Weights changed behind the same size, time and header: a row of each matrix is compared.
TEST_F(PackedCache, OtherWeightsBehindTheSameHeaderAreNoticed) {
  start(model_, cache_);
  const auto time = fs::last_write_time(model_);
  uint64_t begin = 0, bytes = 0;
  {
    const auto checkpoint = open_checkpoint(model_.string());
    const TensorInfo& tensor = checkpoint->tensor("blk.0.ffn_down.weight");
    begin = static_cast<uint64_t>(tensor.data.data() - checkpoint->files[0]->bytes().data());
    bytes = tensor.data.size();
  }
  for (uint64_t at = 0; at < bytes; at += 8) flip(model_, begin + at);
  fs::last_write_time(model_, time);
  plain_ = start(model_, {}).logits;
  expect_rebuilt("not of the weights in the model's file");
}

TEST_F(PackedCache, ADamagedFileIsRebuilt) {
  start(model_, cache_);
  const fs::path file = sidecars()[0];
  const uint64_t size = fs::file_size(file);
  flip(file, size - 5);
  expect_rebuilt("damaged");
  flip(file, 9);
  expect_rebuilt("of another version of the model or of tern");
  fs::resize_file(file, size - 1);
  expect_rebuilt("cut short");
  fs::resize_file(file, 0);
  expect_rebuilt("of another version of the model or of tern");
}

TEST_F(PackedCache, StartsAtOnceLeaveOneWholeFile) {
  std::vector<Start> starts(6);
  {
    std::vector<std::jthread> threads;
    for (Start& each : starts) threads.emplace_back([&] { each = start(model_, cache_); });
  }
  for (const Start& each : starts) {
    EXPECT_TRUE(same_bits(each.logits, plain_));
    EXPECT_TRUE(each.warnings.empty());
  }
  EXPECT_EQ(sidecars().size(), 1u);
  const Start hit = start(model_, cache_);
  EXPECT_EQ(hit.report.state, PackCacheState::kHit) << hit.report.reason;
  EXPECT_TRUE(same_bits(hit.logits, plain_));
}

// Somebody else writes the same: this start keeps nothing and says nothing.
TEST_F(PackedCache, AFileBeingWrittenIsLeftAlone) {
  start(model_, cache_);
  const fs::path file = sidecars()[0];
  fs::rename(file, file.string() + ".partial");
  const int fd = ::open((file.string() + ".partial").c_str(), O_RDWR);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  const Start beside = start(model_, cache_);
  EXPECT_EQ(beside.report.reason, "none yet");
  EXPECT_TRUE(beside.warnings.empty());
  EXPECT_FALSE(fs::exists(file));
  ::close(fd);
  expect_rebuilt("none yet");
}

TEST_F(PackedCache, WhatKilledProcessesLeftIsRemoved) {
  fs::create_directories(cache_.folder);
  std::ofstream(fs::path(cache_.folder) / "other.packed.partial") << "half";
  start(model_, cache_);
  EXPECT_EQ(sidecars().size(), 1u);
  EXPECT_EQ(start(model_, cache_).report.state, PackCacheState::kHit);
}

TEST_F(PackedCache, TheLeastRecentlyUsedMakesRoom) {
  const fs::path others[] = {copy_of_model("second"), copy_of_model("third")};
  start(model_, cache_);
  const uint64_t size = fs::file_size(sidecars()[0]);
  cache_.max_bytes = 2 * size + size / 2;
  const auto age = [&](int hours) {
    for (const fs::path& file : sidecars()) {
      fs::last_write_time(file, fs::last_write_time(file) - std::chrono::hours(hours));
    }
  };
  age(1);
  start(others[0], cache_);
  age(1);
  ASSERT_EQ(start(model_, cache_).report.state, PackCacheState::kHit);  // used: the second is the oldest now
  start(others[1], cache_);
  EXPECT_EQ(sidecars().size(), 2u);
  EXPECT_EQ(start(model_, cache_).report.state, PackCacheState::kHit);
  EXPECT_EQ(start(others[1], cache_).report.state, PackCacheState::kHit);
  EXPECT_EQ(start(others[0], cache_).report.state, PackCacheState::kMiss);
}

TEST_F(PackedCache, WhatExceedsTheLimitIsNotKept) {
  cache_.max_bytes = 10'000;
  const Start out = start(model_, cache_);
  EXPECT_EQ(out.report.state, PackCacheState::kMiss);
  ASSERT_EQ(out.warnings.size(), 1u);
  EXPECT_NE(out.warnings[0].find("10000"), std::string::npos) << out.warnings[0];
  EXPECT_TRUE(same_bits(out.logits, plain_));
  EXPECT_TRUE(sidecars().empty());
}

// Folders where nobody can write, root included.
TEST_F(PackedCache, AFolderThatCannotBeWrittenIsAWarning) {
  std::ofstream(root_ / "file") << "not a folder";
  for (const fs::path& folder : {root_ / "file", root_ / "file" / "below", fs::path("/proc/self")}) {
    cache_.folder = folder;
    const Start out = start(model_, cache_);
    EXPECT_EQ(out.report.state, PackCacheState::kMiss);
    EXPECT_EQ(out.warnings.size(), 1u) << folder;
    EXPECT_TRUE(same_bits(out.logits, plain_)) << folder;
  }
}

}  // namespace
}  // namespace tern
