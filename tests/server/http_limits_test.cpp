// Bad input and bad days over real sockets: limits on bytes read, deadlines, clients that leave or stop reading, a full
// queue, a device that fails, a server that is told to stop.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/completion_request.h"
#include "server/running_server.h"

namespace tern {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::body;
using testing::FakeDevice;
using testing::Gate;
using testing::HttpClient;
using testing::HttpResponse;
using testing::kPath;
using testing::RunningServer;
using testing::sse_payloads;

template <typename Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

TEST(HttpLimits, Header) {
  RunningServer server;
  HttpClient client(server.port());
  client.send("GET /health HTTP/1.1\r\nHost: x\r\nX-Big: " + std::string(20'000, 'a') + "\r\n\r\n");
  EXPECT_EQ(client.read().status, 431);
  HttpClient endless(server.port());  // bytes read, not lines or declared sizes
  std::string line = "GET /" + std::string(8000, 'a');
  for (int i = 0; i < 100 && endless.send(line); ++i) {
  }
  EXPECT_EQ(endless.read().status, 431);
  EXPECT_EQ(HttpClient(server.port()).get("/health").status, 200);
}

TEST(HttpLimits, Body) {
  RunningServer server(ServerOptions{.max_body_bytes = 1000});
  HttpClient declared(server.port());
  const HttpResponse response = declared.post(kPath, std::string(100'000, ' '));
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(json::parse(response.body)["error"]["code"], "body_too_large");
  HttpClient chunked(server.port());
  chunked.send("POST " + kPath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) chunked.send("64\r\n" + std::string(100, ' ') + "\r\n");
  EXPECT_EQ(chunked.read().status, 413);
  HttpClient negative(server.port());
  negative.send("POST " + kPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n");
  EXPECT_EQ(negative.read().status, 400);
  EXPECT_EQ(HttpClient(server.port()).get("/health").status, 200);
}

TEST(HttpLimits, BodiesTogether) {
  RunningServer server(ServerOptions{.max_bodies_bytes = 5000});
  HttpClient holds(server.port());
  holds.send("POST " + kPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n" + std::string(4000, ' '));
  EXPECT_TRUE(soon([&] { return HttpClient(server.port()).post(kPath, std::string(4000, ' ')).status == 503; }));
}

TEST(HttpLimits, NotHttp) {
  RunningServer server;
  for (const std::string bytes :
       {"\x16\x03\x01\x02\x03\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n\r\n",
        "GET /health HTTP/1.1\r\nBad Header: x\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n"}) {
    HttpClient client(server.port());
    client.send(bytes);
    client.send(std::string(100, '\r'));
    const int status = client.read().status;
    EXPECT_TRUE(status == 400 || status == 0) << status << " " << bytes;
  }
  EXPECT_EQ(HttpClient(server.port()).get("/health").status, 200);
}

TEST(HttpLimits, Deadlines) {
  RunningServer server(ServerOptions{.header_deadline = 150ms, .body_deadline = 150ms, .idle_deadline = 150ms});
  HttpClient silent(server.port());
  EXPECT_TRUE(silent.closed());
  HttpClient slow_header(server.port());
  slow_header.send("GET /health HTT");
  EXPECT_EQ(slow_header.read().status, 408);
  HttpClient slow_body(server.port());
  slow_body.send("POST " + kPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
  EXPECT_EQ(slow_body.read().status, 408);
  HttpClient idle(server.port());
  EXPECT_EQ(idle.get("/health").status, 200);
  EXPECT_TRUE(idle.closed());
}

TEST(HttpLimits, Connections) {
  RunningServer server(ServerOptions{.max_connections = 2});
  HttpClient a(server.port()), b(server.port());
  EXPECT_EQ(a.get("/health").status, 200);
  EXPECT_EQ(b.get("/health").status, 200);
  EXPECT_EQ(HttpClient(server.port()).read().status, 503);
  a.shut_down();
  EXPECT_TRUE(soon([&] { return HttpClient(server.port()).get("/health").status == 200; }));
}

// The gate holds the engine, so what the server does meanwhile is what it does on its own.
TEST(HttpStreams, AClientThatLeavesFreesItsSequence) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {});
  HttpClient client(server.port());
  client.start_post(kPath, body(400, true));
  gate.allow(3);
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_TRUE(client.read_chunk());
  client.shut_down();
  EXPECT_TRUE(soon([&] {
    gate.allow(1);
    return server.service().stats().running == 0;
  }));
  EXPECT_LT(server.service().stats().answer_tokens, 300);
  EXPECT_EQ(server.service().stats().kv_blocks_free, server.service().stats().kv_blocks);
  gate.open();
}

TEST(HttpStreams, AClientThatLeavesBeforeTheAnswer) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {});
  {
    HttpClient client(server.port());
    client.start_post(kPath, body(400, false, {{"n", 3}}));
    EXPECT_TRUE(soon([&] {
      gate.allow(1);
      return server.service().stats().running == 3;
    }));
  }
  EXPECT_TRUE(soon([&] {
    gate.allow(1);
    return server.service().stats().running == 0;
  }));
  EXPECT_LT(server.service().stats().answer_tokens, 3 * 400);
  gate.open();
}

TEST(HttpStreams, AReaderThatStopsIsCutOff) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, ServerOptions{.stream_buffer_bytes = 32 << 10});
  HttpClient client(server.port(), 4096);
  client.start_post(kPath, body(500, true, {{"n", 4}, {"logprobs", 20}}));
  gate.allow(1);
  EXPECT_EQ(client.read_head().status, 200);
  // A step writes some 3 kB; the server's buffer, the kernel's and the client's hold a fifth of the answer.
  EXPECT_TRUE(soon([&] {
    gate.allow(1);
    return server.service().stats().running == 0;
  }));
  EXPECT_LT(server.service().stats().answer_tokens, 2000);
  gate.open();
}

// The buffer is small enough for the engine to outrun the I/O thread, and large enough for a reader to lose its turn.
TEST(HttpStreams, AFastAnswerToAReaderThatReadsIsNotCutOff) {
  FakeDevice device;
  RunningServer server(device, ServerOptions{.stream_buffer_bytes = 2 << 20});
  HttpClient client(server.port());
  const HttpResponse response = client.post(kPath, body(500, true, {{"n", 4}, {"logprobs", 20}}));
  EXPECT_EQ(response.status, 200);
  ASSERT_FALSE(sse_payloads(response.body).empty());
  EXPECT_EQ(sse_payloads(response.body).back(), "[DONE]");
}

TEST(HttpStreams, FullQueue) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {}, 1, 1);
  HttpClient runs(server.port()), waits(server.port()), refused(server.port());
  runs.start_post(kPath, body(5, false));
  EXPECT_TRUE(soon([&] {
    gate.allow(1);
    return server.service().stats().running == 1;
  }));
  waits.start_post(kPath, body(5, false));
  EXPECT_TRUE(soon([&] { return server.service().queue_full(); }));
  const HttpResponse response = refused.post(kPath, body(5, false));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.at("retry-after"), "1");
  EXPECT_EQ(refused.get("/health").status, 200);
  gate.open();
  EXPECT_EQ(runs.read().status, 200);
  EXPECT_EQ(waits.read().status, 200);
  EXPECT_EQ(refused.post(kPath, body(5, false)).status, 200);
}

TEST(HttpStreams, SilenceSendsTheHeadAndComments) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, ServerOptions{.first_event_wait = 20ms, .ping_interval = 20ms});
  HttpClient client(server.port());
  client.start_post(kPath, body(2, true));
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_EQ(client.read_chunk()->substr(0, 1), ":");
  EXPECT_EQ(client.read_chunk()->substr(0, 1), ":");
  gate.open();
  std::string rest;
  while (const auto chunk = client.read_chunk()) rest += *chunk;
  EXPECT_EQ(sse_payloads(rest).back(), "[DONE]");
}

TEST(HttpStreams, NotFiniteIsThisRequestsError) {
  FakeDevice device;
  device.nan = true;
  RunningServer server(device, {});
  HttpClient client(server.port());
  const HttpResponse response = client.post(kPath, body(5, true));
  EXPECT_EQ(response.status, 500);  // nothing was sent yet, so the status can say it
  EXPECT_EQ(json::parse(response.body)["error"]["code"], "not_finite");
  EXPECT_EQ(client.post(kPath, body(5, false)).status, 200);
}

TEST(HttpStreams, AFailedDeviceEndsStreamsWithAnError) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {});
  server.service().on_failure([&](const Error&) { server.http().stop(1s); });
  HttpClient streams(server.port()), waits(server.port());
  streams.start_post(kPath, body(400, true));
  gate.allow(2);
  EXPECT_EQ(streams.read_head().status, 200);
  waits.start_post(kPath, body(400, false));
  EXPECT_TRUE(soon([&] {
    gate.allow(1);
    return server.service().stats().running == 2;
  }));
  device.fails = true;
  gate.open();
  std::string rest;
  while (const auto chunk = streams.read_chunk()) rest += *chunk;
  const auto payloads = sse_payloads(rest);
  ASSERT_GE(payloads.size(), 2u);
  EXPECT_TRUE(json::parse(payloads[payloads.size() - 2]).contains("error"));
  EXPECT_EQ(payloads.back(), "[DONE]");
  const HttpResponse response = waits.read();
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("[fake]"), std::string::npos);  // no internal text
  server.join();
}

TEST(HttpStop, FinishesWhatRunsAndTakesNothingNew) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {});
  HttpClient runs(server.port()), idle(server.port());
  EXPECT_EQ(idle.get("/health").status, 200);
  runs.start_post(kPath, body(6, true));
  gate.allow(1);
  EXPECT_EQ(runs.read_head().status, 200);
  server.http().stop(20s);
  EXPECT_TRUE(idle.closed());
  for (const char* path : {"/health", "/ping"}) {
    const HttpResponse late = HttpClient(server.port()).get(path);
    EXPECT_EQ(late.status, 503);
    EXPECT_EQ(json::parse(late.body)["error"]["code"], "shutting_down");
    EXPECT_EQ(late.headers.at("connection"), "close");
  }
  EXPECT_EQ(HttpClient(server.port()).get("/metrics").status, 200);
  const HttpResponse late = HttpClient(server.port()).post(kPath, body(6, true));
  EXPECT_EQ(late.status, 503);
  EXPECT_TRUE(late.headers.contains("retry-after"));
  HttpClient silent(server.port());  // does not hold up the end
  gate.open();
  std::string rest;
  while (const auto chunk = runs.read_chunk()) rest += *chunk;
  const auto payloads = sse_payloads(rest);
  ASSERT_GE(payloads.size(), 2u);
  EXPECT_EQ(json::parse(payloads[payloads.size() - 2])["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(payloads.back(), "[DONE]");
  server.join();
  EXPECT_TRUE(silent.closed());
  EXPECT_THROW(HttpClient(server.port()).get("/health"), std::runtime_error);
}

TEST(HttpStop, DeadlineEndsAStreamWellFormed) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {});
  HttpClient runs(server.port());
  runs.start_post(kPath, body(400, true));
  gate.allow(2);
  EXPECT_EQ(runs.read_head().status, 200);
  server.http().stop(30ms);
  std::string rest;
  while (const auto chunk = runs.read_chunk()) rest += *chunk;
  const auto payloads = sse_payloads(rest);
  ASSERT_GE(payloads.size(), 2u);
  EXPECT_EQ(json::parse(payloads[payloads.size() - 2])["error"]["code"], "shutting_down");
  EXPECT_EQ(payloads.back(), "[DONE]");
  gate.open();
  server.join();
}

}  // namespace
}  // namespace tern
