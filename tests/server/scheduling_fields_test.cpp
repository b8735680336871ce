// The fields that reach the scheduler: a request's own deadline, and whose cached prefixes it shares.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "server/running_server.h"

namespace tern {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::FakeDevice;
using testing::Gate;
using testing::HttpClient;
using testing::HttpResponse;
using testing::RunningServer;
using testing::sse_payloads;

const std::string kPath = "/v1/completions";

json body(json more) {
  json out = {{"prompt", {65, 66, 67}}, {"max_tokens", 400}, {"temperature", 0}, {"ignore_eos", true}};
  out.update(more);
  return out;
}

TEST(Deadline, EndsTheRequestWith408) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {});
  HttpClient client(server.port()), neighbour(server.port());
  client.start_post(kPath, body({{"timeout", 0.03}, {"n", 2}}).dump());
  std::this_thread::sleep_for(60ms);
  neighbour.start_post(kPath, body({{"max_tokens", 5}, {"timeout", 600}}).dump());
  gate.open();
  const HttpResponse response = client.read();
  EXPECT_EQ(response.status, 408) << response.body;
  const json error = json::parse(response.body)["error"];
  EXPECT_EQ(error["code"], "deadline_exceeded");
  EXPECT_EQ(error["param"], "timeout");
  EXPECT_EQ(error["type"], "timeout_error");
  EXPECT_EQ(response.headers.at("x-should-retry"), "false");
  EXPECT_EQ(neighbour.read().status, 200);
  EXPECT_TRUE(server.service().wait_idle(10s));
  EXPECT_EQ(server.service().stats().kv_blocks_free, server.service().stats().kv_blocks);
  EXPECT_EQ(client.post(kPath, body({{"max_tokens", 3}}).dump()).status, 200);  // on the same connection
}

TEST(Deadline, EndsAStreamWithAnErrorEvent) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {});
  HttpClient client(server.port());
  client.start_post(kPath, body({{"timeout", 0.2}, {"stream", true}}).dump());
  gate.allow(2);
  EXPECT_EQ(client.read_head().status, 200);
  std::string bytes = client.read_chunk().value_or("");
  std::this_thread::sleep_for(250ms);
  gate.open();
  while (const auto chunk = client.read_chunk()) bytes += *chunk;
  const auto payloads = sse_payloads(bytes);
  ASSERT_GE(payloads.size(), 3u);
  EXPECT_TRUE(json::parse(payloads.front()).contains("choices"));
  EXPECT_EQ(payloads.back(), "[DONE]");
  EXPECT_EQ(json::parse(payloads[payloads.size() - 2])["error"]["code"], "deadline_exceeded");
}

TEST(CacheSalt, OnlyEqualSaltsShareAPrefix) {
  RunningServer server;
  HttpClient client(server.port());
  const std::vector<int32_t> prompt(200, 77);
  const auto cached = [&](json more) {
    json request = body({{"prompt", prompt}, {"max_tokens", 2}});
    request.update(more);
    const json usage = json::parse(client.post(kPath, request.dump()).body)["usage"];
    EXPECT_EQ(usage["prompt_tokens"], 200);
    return usage["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  const std::string salt("one\0salt", 8), other("one\0salT", 8);
  EXPECT_EQ(cached({{"cache_salt", salt}}), 0);
  EXPECT_GE(cached({{"cache_salt", salt}}), 128);
  EXPECT_EQ(cached({{"cache_salt", other}}), 0);
  EXPECT_EQ(cached({{"n", 3}}), 0);
  const int again = cached({{"n", 3}});
  EXPECT_GE(again, 128);
  EXPECT_LT(again, 200);  // counted once, whatever n
}

}  // namespace
}  // namespace tern
