// API keys: whose they are, what is refused, and that the time of a refusal says nothing about a key.
#include "server/api_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "server/openai.h"
#include "server/running_server.h"

namespace tern {
namespace {

TEST(ApiKeys, ListsAndLines) {
  ApiKeys keys("alpha, beta");
  keys.add_lines("# a comment\n\nteam:gamma\r\n  team : delta\nepsilon\n");
  for (const char* key : {"alpha", "beta", "gamma", "delta", "epsilon"}) EXPECT_NE(keys.find(key), nullptr) << key;
  for (const char* wrong : {"", "alph", "alphaa", "ALPHA", "alpha,beta", "team:gamma", "team", "# a comment"}) {
    EXPECT_EQ(keys.find(wrong), nullptr) << wrong;
  }
  EXPECT_EQ(keys.find("gamma"), keys.find("delta"));  // one tenant
  EXPECT_EQ(keys.find("gamma")->name, "team");
  EXPECT_NE(keys.find("alpha")->number, keys.find("beta")->number);
  EXPECT_NE(keys.find("alpha")->salt, keys.find("beta")->salt);
  EXPECT_EQ(keys.find("alpha")->salt.size(), 32u);
  EXPECT_GT(keys.find("alpha")->number, 0u);
}

TEST(ApiKeys, ATenantsSaltOutlivesItsKey) {
  ApiKeys before, after;
  before.add_lines("team:old");
  after.add_lines("other:x\nteam:new");
  EXPECT_EQ(before.find("old")->salt, after.find("new")->salt);
}

TEST(ApiKeys, Refusals) {
  ApiKeys keys("alpha");
  const std::string secret = "s3cr3t";
  for (const std::string& bad :
       std::initializer_list<std::string>{"", "a,,b", "alpha", "with space", "caf\xc3\xa9", std::string(2000, 'x')}) {
    EXPECT_THROW(ApiKeys(keys).add_list(bad), Error) << bad;
  }
  EXPECT_THROW(ApiKeys(keys).add_lines("# nothing\n"), Error);
  EXPECT_THROW(ApiKeys(keys).add_lines("team:"), Error);
  EXPECT_THROW(ApiKeys(keys).add_lines(":key"), Error);
  try {
    keys.add_lines(secret + "\n" + secret);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find(secret), std::string::npos);
  }
}

TEST(ApiKeys, HeaderForms) {
  EXPECT_EQ(given_key("Bearer abc", ""), "abc");
  EXPECT_EQ(given_key("", "abc"), "abc");
  EXPECT_EQ(given_key("Bearer abc", "def"), "abc");
  EXPECT_EQ(given_key("Basic abc", "def"), "def");
  EXPECT_EQ(given_key("abc", ""), "");
}

// A comparison byte by byte takes several times as long for a key that is right up to its last byte.
TEST(ApiKeys, TimeDoesNotDependOnTheMatchingPrefix) {
  constexpr size_t kBytes = 512;
  const std::string key(kBytes, 'k');
  const ApiKeys keys(key);
  constexpr std::array<size_t, 4> kPrefixes{0, kBytes / 3, 2 * kBytes / 3, kBytes - 1};
  constexpr int kRounds = 400, kCalls = 20;
  std::array<std::vector<double>, kPrefixes.size()> times;
  size_t found = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < kPrefixes.size(); ++i) {  // interleaved: whatever else the machine does hits all alike
      std::string wrong = key;
      wrong[kPrefixes[i]] = 'x';
      const auto begin = std::chrono::steady_clock::now();
      for (int call = 0; call < kCalls; ++call) found += keys.find(wrong) != nullptr ? 1 : 0;
      times[i].push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
    }
  }
  EXPECT_EQ(found, 0u);
  double least = 1e300, most = 0;
  for (auto& some : times) {
    std::nth_element(some.begin(), some.begin() + kRounds / 4, some.end());
    least = std::min(least, some[kRounds / 4]);
    most = std::max(most, some[kRounds / 4]);
  }
  EXPECT_LT(most / least, 1.1);
}

TEST(ApiKeys, RequestsCarryTheirTenant) {
  testing::FakeDevice device;
  testing::RunningServer server(device, {});
  Backend backend{testing::tiny_model(), server.service(), {"tiny"}, 0};
  HttpRequest request{.method = "POST", .path = "/v1/completions", .id = "1", .tenant = 7, .cache_salt = "SALT"};
  request.body = R"({"prompt":[40],"cache_salt":"mine"})";
  const Generation generation = std::get<Generation>(completions(backend, request));
  EXPECT_EQ(generation.submissions.at(0).params.scheduling.tenant, 7u);
  EXPECT_EQ(generation.submissions.at(0).params.scheduling.cache_salt, "SALTmine");
}

int cached_tokens(uint16_t port, const std::string& key, int first_token) {
  nlohmann::json prompt = nlohmann::json::array({first_token});
  for (int i = 0; i < 100; ++i) prompt.push_back(65 + i % 20);
  const nlohmann::json body = {{"prompt", prompt}, {"max_tokens", 1}};
  testing::HttpClient client(port);
  const testing::HttpResponse response = client.post("/v1/completions", body.dump(), "x-api-key: " + key + "\r\n");
  EXPECT_EQ(response.status, 200) << response.body;
  return nlohmann::json::parse(response.body)["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
}

TEST(ApiKeys, TenantsDoNotShareCachedPrefixes) {
  ApiKeys keys;
  keys.add_lines("one:a\none:b\ntwo:c");
  {
    testing::RunningServer server(ServerOptions{.api_keys = keys});
    EXPECT_EQ(cached_tokens(server.port(), "a", 91), 0);
    EXPECT_GE(cached_tokens(server.port(), "a", 91), 64);
    EXPECT_GE(cached_tokens(server.port(), "b", 91), 64);  // the same tenant
    EXPECT_EQ(cached_tokens(server.port(), "c", 91), 0);
    EXPECT_GE(cached_tokens(server.port(), "c", 91), 64);
  }
  testing::RunningServer shared(ServerOptions{.api_keys = keys, .shared_prefix_cache = true});
  EXPECT_EQ(cached_tokens(shared.port(), "a", 92), 0);
  EXPECT_GE(cached_tokens(shared.port(), "c", 92), 64);
}

}  // namespace
}  // namespace tern
