// /openapi.json and docs/api.md say what the tables say.
#include "server/openapi.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/limits.h"
#include "server/api_error.h"
#include "server/api_reference.h"
#include "server/router.h"
#include "server/running_server.h"
#include "support/paths.h"

namespace tern {
namespace {

using nlohmann::json;
using testing::HttpClient;
using testing::RunningServer;

json document() {
  RunningServer server;
  HttpClient client(server.port());
  return json::parse(client.get("/openapi.json").body);
}

void each_reference(const json& value, const std::function<void(const std::string&)>& visit) {
  if (value.is_object() && value.contains("$ref")) visit(value["$ref"]);
  if (value.is_structured()) {
    for (const json& child : value) each_reference(child, visit);
  }
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const json all = document();
  EXPECT_EQ(all["openapi"], "3.1.0");
  int references = 0;
  each_reference(all, [&](const std::string& reference) {
    EXPECT_TRUE(all.contains(json::json_pointer(reference.substr(1)))) << reference;
    ++references;
  });
  EXPECT_GT(references, 50);
}

TEST(OpenApi, EveryRouteWithItsReplies) {
  const json all = document();
  std::set<std::string> operations;
  for (const Route& route : routes()) {
    const std::string method = route.method == "GET" ? "get" : "post";
    ASSERT_TRUE(all["paths"].contains(std::string(route.path))) << route.path;
    const json& operation = all["paths"][std::string(route.path)][method];
    EXPECT_TRUE(operations.insert(operation["operationId"]).second);
    EXPECT_EQ(operation["summary"], route.meaning);
    EXPECT_EQ(operation["responses"].contains("401"), !route.open);
    EXPECT_EQ(operation.contains("requestBody"), route.body != kNoBody);
    EXPECT_TRUE(operation["responses"]["200"]["content"].is_object());
  }
  EXPECT_EQ(all["components"]["securitySchemes"]["key"]["scheme"], "bearer");
}

TEST(OpenApi, EveryFieldWithItsRange) {
  const json all = document();
  for (const Route& route : routes()) {
    if (route.body == kNoBody) continue;
    const json& schema =
        all["paths"][std::string(route.path)]["post"]["requestBody"]["content"]["application/json"]["schema"];
    size_t fields = 0;
    for (const RequestField& field : request_fields()) {
      if ((field.endpoints & route.body) == 0) continue;
      ++fields;
      ASSERT_TRUE(schema["properties"].contains(std::string(field.name))) << field.name;
      const json& property = schema["properties"][std::string(field.name)];
      EXPECT_FALSE(property["description"].get<std::string>().empty()) << field.name;
      if (field.type == FieldType::kInteger || field.type == FieldType::kNumber) {
        EXPECT_EQ(property["minimum"].get<double>(), field.min) << field.name;
        EXPECT_EQ(property["maximum"].get<double>(), field.max) << field.name;
      }
      const bool required = field.fallback == kRequired;
      const json type = property.value("type", json());  // kSeveral has "anyOf" instead
      EXPECT_EQ(type.is_array() && type.back() == "null", !required && field.type != FieldType::kSeveral) << field.name;
    }
    EXPECT_EQ(schema["properties"].size(), fields) << route.path;
  }
  const json& seed = all["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
                        ["properties"]["seed"];
  EXPECT_EQ(seed["maximum"], 18446744073709551615u);
  EXPECT_EQ(seed["minimum"], std::numeric_limits<int64_t>::min());
}

TEST(ApiReference, TheDocumentIsTheTables) {
  std::ifstream file(test::source_dir() + "/docs/api.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string begin = "<!-- From here on: what `tern serve --help-fields` prints. -->\n\n";
  const size_t at = text.str().find(begin);
  ASSERT_NE(at, std::string::npos);
  EXPECT_TRUE(text.str().substr(at + begin.size()) == api_reference())
      << "docs/api.md is out of date: replace its end by what `tern serve --help-fields` prints";
}

TEST(ApiReference, EveryCodeOfTheLimitsIsInTheTable) {
  std::set<std::string> codes;
  for (const ErrorCodeRow& row : error_codes()) {
    EXPECT_TRUE(codes.insert(std::to_string(row.status) + " " + std::string(row.code)).second);
  }
  for (const LimitRow& row : limits()) {
    if (row.refusal.empty() || row.refusal[0] < '0' || row.refusal[0] > '9') continue;
    EXPECT_TRUE(codes.contains(std::string(row.refusal))) << row.name;
  }
}

TEST(ApiReference, TheServersDefaultsAreTheLimits) {
  const ServerOptions options;
  EXPECT_EQ(options.max_connections, Limits::kConnections);
  EXPECT_EQ(options.max_header_bytes, Limits::kRequestHeaderBytes);
  EXPECT_EQ(options.max_body_bytes, Limits::kRequestBodyBytes);
  EXPECT_EQ(options.max_bodies_bytes, Limits::kBodiesBytes);
  EXPECT_EQ(options.stream_buffer_bytes, Limits::kStreamBufferBytes);
  const auto ms = [](std::chrono::milliseconds time) { return static_cast<uint64_t>(time.count()); };
  EXPECT_EQ(ms(options.header_deadline), Limits::kHeaderMs);
  EXPECT_EQ(ms(options.body_deadline), Limits::kBodyMs);
  EXPECT_EQ(ms(options.idle_deadline), Limits::kIdleMs);
  EXPECT_EQ(ms(options.write_deadline), Limits::kWriteMs);
  EXPECT_EQ(ms(options.drain_deadline), Limits::kDrainMs);
}

}  // namespace
}  // namespace tern
