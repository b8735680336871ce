// The listener: accepts connections within their limit, keeps an eye on them, and ends them in good order.
//
// Owned by serve() or a test. run() is the I/O thread; open() and stop() may be called from any thread. Until open()
// every request is answered 503 "loading"; after stop(), until what runs has ended, 503 "shutting_down". The service
// must have been stopped, or be idle, when the server is destroyed.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "server/exchange.h"
#include "server/server_options.h"

namespace tern {

class HttpServer {
 public:
  // Listens from here on; throws when it cannot.
  explicit HttpServer(ServerOptions options);
  HttpServer(Service& service, Backend backend, ServerOptions options);
  ~HttpServer();

  uint16_t port() const;
  // "http://127.0.0.1:8000", "https://[::1]:8000"
  std::string address() const;

  // The model is there: requests are answered.
  void open(Service& service, Backend backend);

  // Answers until it is stopped and every connection has ended.
  void run();
  // No new connections or requests; what runs has `grace` to finish, is then ended with an error, and closed. A second
  // call ends the grace.
  void stop(std::chrono::milliseconds grace);
  // SIGINT and SIGTERM call stop() with the drain deadline of the options.
  void stop_on_signals();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern
