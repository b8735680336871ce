// Bad days: far too many clients, clients that vanish at any moment, an end in the middle of work, a model that is not
// there yet. Each with the fake engine, whose gate decides how far the work has come.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/rng.h"
#include "server/completion_request.h"
#include "server/running_server.h"
#include "server/scraped.h"

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
using testing::sample;
using testing::scrape;
using testing::sse_payloads;
using Time = std::chrono::steady_clock;

// Memory as a sanitizer keeps it says nothing about the program's own.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

template <typename Condition>
bool within(std::chrono::milliseconds time, Condition condition) {
  for (const auto end = Time::now() + time; Time::now() < end; std::this_thread::sleep_for(5ms)) {
    if (condition()) return true;
  }
  return false;
}

double resident_bytes() {
  double pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

// Lets the engine take a step every millisecond for as long as it lives.
class Pace {
 public:
  explicit Pace(Gate& gate)
      : thread_([this, &gate] {
          while (!stop_) {
            gate.allow(1);
            std::this_thread::sleep_for(1ms);
          }
          gate.open();
        }) {}
  ~Pace() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

std::string text_of(const std::vector<std::string>& payloads) {
  std::string text;
  for (const std::string& payload : payloads) {
    if (payload == "[DONE]") continue;
    const json event = json::parse(payload);
    if (event.contains("choices")) text += event["choices"][0]["text"].get<std::string>();
  }
  return text;
}

TEST(BadDays, AThousandIdleConnectionsBesideStreams) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2200) GTEST_SKIP() << "only " << limit.rlim_cur << " descriptors are granted";
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, ServerOptions{.max_connections = 1100}, 64, 16);
  for (int i = 0; i < 20; ++i) HttpClient(server.port()).get("/health");
  const double before = resident_bytes();
  std::vector<std::unique_ptr<HttpClient>> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(std::make_unique<HttpClient>(server.port()));
    ASSERT_EQ(idle.back()->get("/v1/models").status, 200);
  }
  const double each = (resident_bytes() - before) / 1000;
  RecordProperty("bytes_each", static_cast<int>(each));
  if (!kSanitized) {
    EXPECT_LT(each, 20 * 1024);
  }

  std::vector<std::unique_ptr<HttpClient>> streams;
  for (int i = 0; i < 16; ++i) {
    streams.push_back(std::make_unique<HttpClient>(server.port()));
    streams.back()->start_post(kPath, body(400, true));
  }
  {
    const Pace pace(gate);
    std::vector<double> ms;
    for (int i = 0; i < 200; ++i) {
      const auto begin = Time::now();
      ASSERT_EQ(idle[static_cast<size_t>(i) * 5]->get("/health").status, 200);
      ms.push_back(std::chrono::duration<double, std::milli>(Time::now() - begin).count());
    }
    std::nth_element(ms.begin(), ms.begin() + 197, ms.end());
    EXPECT_LT(ms[197], 50.0);  // p99
    for (const auto& stream : streams) {
      const HttpResponse response = stream->read();
      EXPECT_EQ(response.status, 200);
      EXPECT_EQ(sse_payloads(response.body).back(), "[DONE]");
    }
  }
  EXPECT_EQ(HttpClient(server.port()).get("/health").status, 200);
}

TEST(BadDays, AFloodIsRefusedAtOnceAndHonestly) {
  FakeDevice device;
  Gate gate;  // closed: what is admitted stays
  device.gate = &gate;
  constexpr size_t kRunning = 4, kQueue = 8, kClients = 10 * (kRunning + kQueue);
  RunningServer server(device, {}, kQueue, kRunning);
  std::vector<std::unique_ptr<HttpClient>> clients;
  std::vector<pollfd> sockets;
  const auto begin = Time::now();
  for (size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<HttpClient>(server.port()));
    clients.back()->start_post(kPath, body(3, i % 2 == 0));
    sockets.push_back({clients.back()->descriptor(), POLLIN, 0});
  }
  std::vector<bool> answered(kClients);
  size_t refused = 0;
  const bool in_time = within(5s, [&] {
    ::poll(sockets.data(), sockets.size(), 0);
    for (size_t i = 0; i < kClients; ++i) {
      if (answered[i] || (sockets[i].revents & POLLIN) == 0) continue;
      answered[i] = true;
      const HttpResponse response = clients[i]->read();
      EXPECT_EQ(response.status, 429);
      EXPECT_TRUE(response.headers.contains("retry-after"));
      EXPECT_EQ(json::parse(response.body)["error"]["code"], "queue_full");
      ++refused;
    }
    return refused >= kClients - kRunning - kQueue;
  });
  EXPECT_TRUE(in_time) << refused;
  EXPECT_LT(Time::now() - begin, 2s);
  EXPECT_EQ(HttpClient(server.port()).get("/health").status, 200);
  gate.open();
  size_t served = 0;
  for (size_t i = 0; i < kClients; ++i) {
    if (answered[i]) continue;
    const int status = clients[i]->read().status;
    EXPECT_TRUE(status == 200 || status == 429) << status;
    served += status == 200 ? 1 : 0;
  }
  EXPECT_GE(served, kQueue);
  for (const auto& client : clients) EXPECT_EQ(client->post(kPath, body(1, false)).status, 200);  // none hangs
}

TEST(BadDays, ClientsThatVanishLeaveNothing) {
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {}, 64, 8);
  std::string expected;
  {
    gate.allow(300);
    expected = text_of(sse_payloads(HttpClient(server.port()).post(kPath, body(300, true)).body));
  }
  const auto before = scrape(server.port());
  HttpClient neighbour(server.port());
  const Pace pace(gate);
  neighbour.start_post(kPath, body(300, true));
  for (uint64_t i = 0; i < 150; ++i) {
    HttpClient client(server.port());
    const std::string request = body(400, i % 3 != 0);
    const std::string bytes = "POST " + kPath +
                              " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(request.size()) + "\r\n\r\n" +
                              request;
    client.send(bytes.substr(0, i % 4 == 0 ? random_bits(1, i) % bytes.size() : bytes.size()));
    std::this_thread::sleep_for(std::chrono::microseconds(random_bits(2, i) % 6000));
    if (i % 5 == 0) {  // a reset instead of an end
      const linger now{1, 0};
      ::setsockopt(client.descriptor(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    } else if (i % 5 == 1) {
      ::shutdown(client.descriptor(), SHUT_WR);
      std::this_thread::sleep_for(1ms);
    }
  }
  EXPECT_EQ(text_of(sse_payloads(neighbour.read().body)), expected);
  std::map<std::string, double> after;
  const bool back = within(1s, [&] {
    after = scrape(server.port());
    return after.at(sample("num_requests_running")) == 0 && after.at(sample("num_requests_waiting")) == 0 &&
           after.at(sample("kv_blocks_free")) == after.at(sample("kv_blocks")) &&
           after.at(sample("http_connections")) <= 2;
  });
  EXPECT_TRUE(back);
  EXPECT_EQ(after.at(sample("http_answers_running")), 0);
  EXPECT_LE(after.at("process_open_fds"), before.at("process_open_fds") + 2);
  EXPECT_EQ(after.at("process_threads"), before.at("process_threads") + 1);  // the pace
}

class StopUnderLoad : public ::testing::TestWithParam<int> {};

TEST_P(StopUnderLoad, NoTokenIsLostOrDoubled) {
  constexpr int kTokens = 60, kClients = 8;
  static const std::string expected = [] {
    FakeDevice device;
    RunningServer server(device, {});
    return text_of(sse_payloads(HttpClient(server.port()).post(kPath, body(kTokens, true)).body));
  }();
  FakeDevice device;
  Gate gate;
  device.gate = &gate;
  RunningServer server(device, {}, 64, 4);
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<HttpClient>(server.port()));
    clients.back()->start_post(kPath, body(kTokens, i % 4 != 0));
  }
  gate.allow(GetParam() * 7);
  std::this_thread::sleep_for(std::chrono::milliseconds(GetParam()));
  const bool gentle = GetParam() % 2 == 0;
  const Pace pace(gate);
  server.http().stop(gentle ? 20s : 0ms);
  for (int i = 0; i < kClients; ++i) {
    const HttpResponse response = clients[static_cast<size_t>(i)]->read();
    if (response.status == 503) {
      EXPECT_EQ(json::parse(response.body)["error"]["code"], "shutting_down");
      EXPECT_TRUE(response.headers.contains("retry-after"));
      continue;
    }
    if (response.status == 0) continue;  // the request had not been read: the connection ended
    ASSERT_EQ(response.status, 200);
    if (i % 4 == 0) {
      EXPECT_EQ(json::parse(response.body)["choices"][0]["text"], expected);
      continue;
    }
    const auto payloads = sse_payloads(response.body);
    ASSERT_GE(payloads.size(), 2u);
    EXPECT_EQ(payloads.back(), "[DONE]");
    const std::string text = text_of(payloads);
    if (gentle) {
      EXPECT_EQ(text, expected);
    } else {
      EXPECT_EQ(text, expected.substr(0, text.size()));
      EXPECT_TRUE(text == expected || json::parse(payloads[payloads.size() - 2]).contains("error"));
    }
  }
  server.join();
}

INSTANTIATE_TEST_SUITE_P(Moments, StopUnderLoad, ::testing::Range(0, 12));

TEST(Loading, AnswersThatItIsNotReadyAndThenServes) {
  FakeDevice device;
  device.vocabulary = static_cast<int32_t>(testing::tiny_model().config().vocabulary);
  const auto engine = testing::fake_engine(device);
  Service service(*engine, testing::tiny_model().tokenizer(), 16);
  HttpServer server(ServerOptions{.port = 0, .api_keys = ApiKeys("key")});
  std::thread thread([&] { server.run(); });
  HttpClient client(server.port());
  for (const char* path : {"/health", "/ping"}) {
    const HttpResponse response = client.get(path, "x-api-key: key\r\n");
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(json::parse(response.body)["error"]["code"], "loading");
    EXPECT_TRUE(response.headers.contains("retry-after"));
  }
  EXPECT_EQ(client.get("/health").status, 503);
  EXPECT_EQ(client.get("/v1/models").status, 401);
  EXPECT_EQ(client.get("/metrics", "x-api-key: key\r\n").status, 503);
  EXPECT_EQ(HttpClient(server.port()).post(kPath, body(3, true), "x-api-key: key\r\n").status, 503);
  server.open(service, Backend{testing::tiny_model(), service, {"tiny"}, 0});
  EXPECT_TRUE(within(5s, [&] { return client.get("/health").status == 200; }));
  EXPECT_EQ(client.post(kPath, body(3, true), "x-api-key: key\r\n").status, 200);
  server.stop(0ms);
  thread.join();
}

TEST(Loading, CanBeGivenUp) {
  HttpServer server(ServerOptions{.port = 0});
  std::thread thread([&] { server.run(); });
  HttpClient idle(server.port());
  EXPECT_EQ(idle.get("/health").status, 503);  // so the server has accepted it, and waits for its next request
  server.stop(20s);
  thread.join();
  EXPECT_TRUE(idle.closed());
}

}  // namespace
}  // namespace tern
