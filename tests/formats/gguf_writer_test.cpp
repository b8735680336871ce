// The GGUF writer: what it writes our reader reads back, and what the reader would refuse it refuses.
#include "formats/gguf_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "core/error.h"
#include "core/limits.h"
#include "formats/gguf.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> counting(size_t bytes, int first) {
  std::vector<std::byte> out(bytes);
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return out;
}

GgufLayout small_layout() {
  GgufLayout layout("small.gguf");
  layout.string("general.architecture", "llama");
  layout.integer("llama.block_count", 3);
  layout.number("llama.eps", 0.5);
  layout.boolean("yes", true);
  const std::vector<std::string> words{"a", "", "long word"};
  layout.strings("words", words);
  layout.integers("types", std::vector<int32_t>{1, -3});
  EXPECT_EQ(layout.tensor("odd", Format::kF32, std::vector<int64_t>{3}), 12u);
  EXPECT_EQ(layout.tensor("blocks", Format::kQ4_0, std::vector<int64_t>{2, 64}), 72u);
  EXPECT_EQ(layout.tensor("cube", Format::kF16, std::vector<int64_t>{2, 3, 4}), 48u);
  return layout;
}

std::vector<std::vector<std::byte>> small_data() { return {counting(12, 1), counting(72, 2), counting(48, 3)}; }

class GgufFileTest : public testing::Test {
 protected:
  GgufFileTest() : folder_(fs::temp_directory_path() / ("tern-gguf-writer-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~GgufFileTest() override { fs::remove_all(folder_); }
  std::string path() const { return (folder_ / "out.gguf").string(); }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

 private:
  fs::path folder_;
};

TEST_F(GgufFileTest, TheReaderReadsItBack) {
  const GgufLayout layout = small_layout();
  GgufFile file(path(), layout);
  for (const auto& bytes : small_data()) {  // in two pieces each
    file.append(std::span(bytes).first(5));
    file.append(std::span(bytes).subspan(5));
  }
  file.finish();
  EXPECT_EQ(fs::file_size(path()), layout.file_bytes());
  EXPECT_EQ(files(), 1u);

  const auto read = open_checkpoint(path());
  const Metadata& metadata = read->metadata;
  EXPECT_EQ(metadata.string("general.architecture"), "llama");
  EXPECT_EQ(metadata.integer("llama.block_count", 0, 9), 3);
  EXPECT_EQ(metadata.number("llama.eps"), 0.5);
  EXPECT_TRUE(metadata.boolean("yes"));
  ASSERT_EQ(metadata.strings("words").size(), 3u);
  EXPECT_EQ(metadata.strings("words")[2], "long word");
  EXPECT_EQ(metadata.integers("types")[1], -3);
  const auto data = small_data();
  const auto extents = layout.extents();
  ASSERT_EQ(read->tensors.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const auto bytes = read->tensors[i].data;
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), data[i].begin(), data[i].end())) << i;
    EXPECT_EQ(static_cast<uint64_t>(bytes.data() - read->files[0]->bytes().data()), extents[i].begin) << i;
  }
  EXPECT_EQ(read->tensor("cube").shape, (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(read->tensor("blocks").format, Format::kQ4_0);
}

TEST_F(GgufFileTest, NothingIsLeftOfAFileThatWasNotFinished) {
  {
    GgufFile file(path(), small_layout());
    file.append(counting(12, 1));
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(GgufFileTest, AFolderThatIsMissingIsAnErrorThatNamesThePath) {
  const std::string missing = path() + "/no/such/folder.gguf";
  try {
    GgufFile file(missing, small_layout());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFailed);
    EXPECT_NE(std::string(error.what()).find(missing), std::string::npos) << error.what();
  }
}

TEST(GgufLayoutTest, AModelWithoutTensorsIsAFileToo) {
  GgufLayout layout("empty.gguf");
  layout.string("general.architecture", "llama");
  const std::vector<std::byte> bytes = layout.header();
  EXPECT_EQ(bytes.size(), layout.file_bytes());
  EXPECT_TRUE(read_gguf(bytes, "empty.gguf").tensors.empty());
}

void expect_refused(const std::function<void(GgufLayout&)>& add, const std::string& part) {
  GgufLayout layout("hostile.gguf");
  layout.tensor("there", Format::kF32, std::vector<int64_t>{4});
  layout.integer("key", 1);
  try {
    add(layout);
    FAIL() << "not refused: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("hostile.gguf"), std::string::npos) << error.what();
  }
}

TEST(GgufLayoutTest, HostileSizesAreRefused) {
  const auto tensor = [](std::string name, Format format, std::vector<int64_t> shape) {
    return [=](GgufLayout& layout) { layout.tensor(name, format, shape); };
  };
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  expect_refused(tensor("t", Format::kF32, {kHuge, 2}), "overflows");
  expect_refused(tensor("t", Format::kF32, {kHuge / 2}), "overflows");
  expect_refused(tensor("t", Format::kF32, {kHuge / 4}), "overflows");  // with what is there already
  expect_refused(tensor("t", Format::kF32, {0, 4}), "0");
  expect_refused(tensor("t", Format::kF32, {-1, 4}), "0");
  expect_refused(tensor("t", Format::kF32, {}), "no dimension");
  expect_refused(tensor("t", Format::kF32, {1, 1, 1, 1, 1}), "dimensions exceed");
  expect_refused(tensor("t", Format::kQ4_K, {2, 300}), "not whole q4_k blocks");
  expect_refused(tensor("", Format::kF32, {4}), "empty");
  expect_refused(tensor("there", Format::kF32, {4}), "twice");
  expect_refused(tensor(std::string(Limits::kTensorNameBytes + 1, 'n'), Format::kF32, {4}), "too long");
}

TEST(GgufLayoutTest, MetadataThatNoReaderTakesIsRefused) {
  expect_refused([](GgufLayout& layout) { layout.integer("key", 2); }, "twice");
  expect_refused([](GgufLayout& layout) { layout.integer("", 2); }, "empty");
  expect_refused([](GgufLayout& layout) { layout.integer("big", uint64_t{1} << 32); }, "32 bits");
  const std::string long_text(Limits::kStringBytes + 1, 'x');
  expect_refused([&](GgufLayout& layout) { layout.string("text", long_text); }, "exceeds the limit");
  expect_refused(
      [](GgufLayout& layout) {
        layout.integers("many", std::vector<int32_t>(Limits::kArrayElements));
        layout.integers("one more", std::vector<int32_t>(1));
      },
      "array elements exceed");
}

TEST(MemoryInPlaceOfAFile, IsWrittenThenReadOnly) {
  MappedFile memory("made up", 3 * 4096);
  EXPECT_EQ(memory.bytes()[5000], std::byte{0});
  memory.writable()[5000] = std::byte{7};
  memory.seal();
  EXPECT_EQ(memory.bytes()[5000], std::byte{7});
  memory.release(memory.bytes().first(4096));  // and what is left can still be read
  EXPECT_EQ(memory.bytes()[5000], std::byte{7});
  const auto* given_back = reinterpret_cast<const volatile unsigned char*>(memory.bytes().data());
  EXPECT_DEATH(static_cast<void>(*given_back), "");
  EXPECT_THROW(MappedFile("too large", uint64_t{1} << 62), Error);
}

}  // namespace
}  // namespace tern
