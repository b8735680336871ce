// One sidecar as a file: what is written is read; whatever differs is a file that is not there.
#include "engine/runner/packed_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <set>
#include <thread>

#include "core/rng.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

class PackedFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / (std::string("packed_") + std::to_string(::getpid()));
    fs::create_directories(folder_);
    for (size_t i = 0; i < data_.size(); ++i) data_[i] = static_cast<std::byte>(random_bits(1, i));
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path path() const { return folder_ / "model.packed"; }
  bool write() {
    std::string reason;
    const auto writer = PackedWriter::begin(path(), contents_, reason);
    if (writer == nullptr) return false;
    while (writer->claim(data_.data())) {
    }
    return fs::exists(path());
  }
  // Empty when every block is read and is what was written.
  std::string read(const PackedContents& contents) const {
    std::string reason;
    const auto reader = PackedReader::open(path(), contents, reason);
    if (reader == nullptr) return reason;
    std::vector<std::byte> found(data_.size());
    for (uint64_t block = 0; block < contents.blocks(); ++block) {
      if (!reader->read(block, found.data() + block * PackedContents::kBlockBytes)) return "damaged block";
    }
    return found == data_ ? "" : "other bytes";
  }
  std::string read() const { return read(contents_); }
  void flip(uint64_t offset) const {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const auto byte = static_cast<char>(file.get() ^ 4);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
  }

  fs::path folder_;
  std::vector<std::byte> data_ = std::vector<std::byte>(7 * PackedContents::kBlockBytes / 2 + 13);
  PackedContents contents_{"a model\nits layout", data_.size()};
};

TEST_F(PackedFile, WhatIsWrittenIsRead) {
  EXPECT_EQ(read(), "none yet");
  ASSERT_TRUE(write());
  EXPECT_EQ(read(), "");
  EXPECT_EQ(fs::file_size(path()), contents_.file_bytes());
  EXPECT_EQ(contents_.data_offset() % 4096, 0u);
  EXPECT_EQ(fs::status(path()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  std::vector<char> whole(contents_.file_bytes());
  std::ifstream(path(), std::ios::binary).read(whole.data(), static_cast<std::streamsize>(whole.size()));
  EXPECT_EQ(std::memcmp(whole.data() + contents_.data_offset(), data_.data(), data_.size()), 0);
}

TEST_F(PackedFile, OtherContentsAreNotFound) {
  ASSERT_TRUE(write());
  EXPECT_EQ(read({"a model\nits layouT", data_.size()}), "of another version of the model or of tern");
  EXPECT_EQ(read({"a model", data_.size()}), "of another version of the model or of tern");
  EXPECT_EQ(read({contents_.identity, data_.size() - 1}), "of another version of the model or of tern");
}

// Every byte of the head and a few of each block: version, sizes, identity, checksums, weights. Padding is not read.
TEST_F(PackedFile, AFlippedBitAnywhereIsNoticed) {
  ASSERT_TRUE(write());
  const uint64_t head = contents_.head().size() + (contents_.blocks() + 1) * sizeof(uint64_t);
  for (uint64_t at = 0; at < head; ++at) {
    flip(at);
    EXPECT_NE(read(), "") << "byte " << at;
    flip(at);
  }
  for (uint64_t at = 0; at < data_.size(); at += 9973) {
    flip(contents_.data_offset() + at);
    EXPECT_EQ(read(), "damaged block") << "weight byte " << at;
    flip(contents_.data_offset() + at);
  }
  EXPECT_EQ(read(), "");
}

TEST_F(PackedFile, EveryOtherLengthIsNoticed) {
  ASSERT_TRUE(write());
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{7}, uint64_t{30}, contents_.data_offset(),
                               contents_.file_bytes() - 1, contents_.file_bytes() + 1}) {
    fs::resize_file(path(), bytes);
    EXPECT_NE(read(), "") << bytes;
  }
  fs::remove(path());
  fs::create_directory(path());
  EXPECT_NE(read(), "");
}

TEST_F(PackedFile, OneOfTwoWritersGivesUp) {
  std::string reason;
  auto first = PackedWriter::begin(path(), contents_, reason);
  ASSERT_NE(first, nullptr) << reason;
  EXPECT_EQ(PackedWriter::begin(path(), contents_, reason), nullptr);
  EXPECT_EQ(reason, "");
  while (first->claim(data_.data())) {
  }
  EXPECT_EQ(read(), "");
  // The lock on the first one's file, which has its name now, is of no use for writing another.
  auto second = PackedWriter::begin(path(), contents_, reason);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(read(), "");
  second.reset();
  EXPECT_FALSE(fs::exists(path().string() + ".partial"));
  EXPECT_EQ(read(), "");
}

TEST_F(PackedFile, SeveralThreadsWriteOneFile) {
  std::string reason;
  auto writer = PackedWriter::begin(path(), contents_, reason);
  ASSERT_NE(writer, nullptr) << reason;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        while (writer->claim(data_.data())) {
        }
      });
    }
  }
  EXPECT_EQ(read(), "");
}

TEST_F(PackedFile, WhatAKilledProcessLeftIsWrittenAnew) {
  std::ofstream(path().string() + ".partial", std::ios::binary) << std::string(3'000'000, 'x');
  ASSERT_TRUE(write());
  EXPECT_EQ(read(), "");
  EXPECT_FALSE(fs::exists(path().string() + ".partial"));
}

// A full disk, as far as a process can make itself one.
TEST_F(PackedFile, NoSpaceIsAReasonAndLeavesNothing) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{65'536, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string reason;
  const auto writer = PackedWriter::begin(path(), contents_, reason);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(writer, nullptr);
  EXPECT_NE(reason, "");
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace tern
