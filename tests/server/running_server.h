// A server in this process on a free port, with the tiny Llama and either its own engine or a fake one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "api/fake_engine.h"
#include "server/http_client.h"
#include "server/http_server.h"
#include "support/paths.h"

namespace tern::testing {

// Loaded once; the engine is used by one RunningServer at a time.
inline Model& tiny_model() {
  static const std::unique_ptr<Model> model = [] {
    LoadOptions options;
    options.threads = 1;
    options.max_sequences = 8;
    return Model::load(test::golden_dir() + "/models/llama-tiny/model.gguf", options);
  }();
  return *model;
}

class RunningServer {
 public:
  explicit RunningServer(ServerOptions options = {}) : service_(std::in_place, tiny_model()) {
    start(std::move(options));
  }
  // The fake engine has the model's vocabulary, and so its tokens have its texts.
  RunningServer(FakeDevice& device, ServerOptions options, size_t queue_limit = Limits::kQueuedRequests,
                int64_t max_sequences = 4) {
    device.vocabulary = static_cast<int32_t>(tiny_model().config().vocabulary);
    engine_ = fake_engine(device, 512, max_sequences);
    service_.emplace(*engine_, tiny_model().tokenizer(), queue_limit);
    start(std::move(options));
  }
  ~RunningServer() { stop(std::chrono::milliseconds(0)); }

  uint16_t port() const { return port_; }
  Service& service() { return *service_; }
  HttpServer& http() { return *http_; }
  // Joins the I/O thread, which ends only when every connection and answer has.
  void stop(std::chrono::milliseconds grace) {
    if (!thread_.joinable()) return;
    http_->stop(grace);
    join();
  }
  void join() {
    thread_.join();
    service_->stop();
  }

 private:
  void start(ServerOptions options) {
    options.port = 0;
    http_ = std::make_unique<HttpServer>(
        *service_, Backend{tiny_model(), *service_, {"tiny", "tiny-alias"}, 1'700'000'000}, std::move(options));
    port_ = http_->port();
    thread_ = std::thread([this] { http_->run(); });
  }

  std::unique_ptr<Engine> engine_;
  std::optional<Service> service_;
  std::unique_ptr<HttpServer> http_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace tern::testing
