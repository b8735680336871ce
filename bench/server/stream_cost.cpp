// CPU time that a streamed token costs outside the model: events, JSON, SSE, sockets.
//
//   stream_cost [STREAMS] [TOKENS] [STEP_US]
//
// A server in this process with a fake engine streams to as many clients; the gate lets one step through every STEP_US,
// so that each step's tokens travel on their own, as they do with a model. Prints microseconds a token of the thread
// that serves the sockets and of all threads but the clients' (engine thread included), and the same of a service
// whose sinks do nothing, which is what the engine costs by itself.
#include <fmt/core.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <cstdlib>
#include <ctime>

#include "server/running_server.h"

namespace tern {
namespace {

using namespace std::chrono_literals;

double seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double others_seconds() { return seconds(CLOCK_PROCESS_CPUTIME_ID) - seconds(CLOCK_THREAD_CPUTIME_ID); }

struct Load {
  int streams = 16, tokens = 1000, step_us = 1000;
  double all() const { return static_cast<double>(streams) * tokens; }
};

class Fake {
 public:
  explicit Fake(const Load& load) {
    device.gate = &gate;
    device.vocabulary = static_cast<int32_t>(testing::tiny_model().config().vocabulary);
    engine = testing::fake_engine(device, load.tokens + 64, load.streams);
    service.emplace(*engine, testing::tiny_model().tokenizer(), 1024);
  }
  testing::FakeDevice device;
  testing::Gate gate;
  std::unique_ptr<Engine> engine;
  std::optional<Service> service;
};

double engine_alone(const Load& load) {
  Fake fake(load);
  const double begin = others_seconds();
  for (int i = 0; i < load.streams; ++i) {
    Submission submission{.prompt = {40}, .params = {}, .sink = [](TextEvent&&) {}};
    submission.params.sampling.temperature = 0;
    submission.params.max_tokens = load.tokens;
    submission.params.ignore_eos = true;
    fake.service->submit({std::move(submission)});
  }
  for (int step = 0; step <= load.tokens + 2; ++step) {
    fake.gate.allow(1);
    std::this_thread::sleep_for(std::chrono::microseconds(load.step_us));
  }
  fake.gate.open();
  fake.service->wait_idle(10s);
  return (others_seconds() - begin) / load.all();
}

void measure(const Load& load) {
  Fake fake(load);
  HttpServer server(*fake.service, Backend{testing::tiny_model(), *fake.service, {"tiny"}, 1'700'000'000},
                    ServerOptions{.port = 0});
  std::thread thread([&] { server.run(); });
  clockid_t io_clock{};
  pthread_getcpuclockid(thread.native_handle(), &io_clock);

  const std::string body = fmt::format(
      R"({{"messages":[{{"role":"user","content":"hour"}}],"max_tokens":{},"temperature":0,"ignore_eos":true,"stream":true}})",
      load.tokens);
  std::vector<std::unique_ptr<testing::HttpClient>> clients;
  std::vector<pollfd> sockets;
  for (int i = 0; i < load.streams; ++i) {
    clients.push_back(std::make_unique<testing::HttpClient>(server.port()));
    clients.back()->start_post("/v1/chat/completions", body);
    sockets.push_back({clients.back()->descriptor(), POLLIN, 0});
  }
  while (fake.service->stats().waiting + fake.service->stats().running < load.streams - 1) {
    std::this_thread::sleep_for(1ms);
    fake.gate.allow(1);
  }
  const double io_begin = seconds(io_clock), all_begin = others_seconds();
  std::string bytes(1 << 16, '\0');
  uint64_t received = 0;
  for (int step = 0; step <= load.tokens + 8; ++step) {
    const auto next = std::chrono::steady_clock::now() + std::chrono::microseconds(load.step_us);
    fake.gate.allow(1);
    std::this_thread::sleep_until(next);
    ::poll(sockets.data(), sockets.size(), 0);
    for (const pollfd& socket : sockets) {
      const ssize_t got = ::recv(socket.fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
      received += got > 0 ? static_cast<uint64_t>(got) : 0;
    }
  }
  const double io = (seconds(io_clock) - io_begin) / load.all(), all = (others_seconds() - all_begin) / load.all();
  const double alone = engine_alone(load);
  fmt::print("{} streams of {} tokens, a step every {} us; {} bytes a token\n", load.streams, load.tokens, load.step_us,
             received / static_cast<uint64_t>(load.all()));
  fmt::print(
      "us of CPU a token: sockets' thread {:.2f}, all {:.2f}, engine without a server {:.2f}, so the server {:.2f}\n",
      io * 1e6, all * 1e6, alone * 1e6, (all - alone) * 1e6);
  fake.gate.open();
  server.stop(0ms);
  thread.join();
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  tern::Load load;
  if (argc > 1) load.streams = std::atoi(argv[1]);
  if (argc > 2) load.tokens = std::atoi(argv[2]);
  if (argc > 3) load.step_us = std::atoi(argv[3]);
  tern::measure(load);
  return 0;
}
