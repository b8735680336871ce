#include "server/http_server.h"

#include <fmt/core.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <optional>
#include <unordered_set>
#include <utility>

#include "core/clock.h"
#include "server/api_error.h"
#include "server/connection.h"
#include "server/http_wire.h"
#include "server/log.h"
#include "server/status_line.h"

namespace tern {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kAcceptRetry{50};  // after a failed accept: no descriptors left, say
constexpr milliseconds kCutGrace{1000};   // for the error event of an answer that was cut

tcp::endpoint resolve(asio::io_context& io, const ServerOptions& options) {
  error_code ec;
  const auto address = asio::ip::make_address(options.host, ec);
  if (!ec) return {address, options.port};
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, std::to_string(options.port), ec);
  if (ec || found.empty()) bad_input("[server] there is no address of this machine called " + printable(options.host));
  return found.begin()->endpoint();
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(ServerOptions given_options)
      : options(std::move(given_options)), host{.options = options, .text_pool = text_pool, .mailbox = {}} {
    host.mailbox = std::make_shared<EventMailbox>(io.get_executor());
    if (!options.tls_certificate_file.empty() || !options.tls_key_file.empty()) {
      tls.emplace(options.tls_certificate_file, options.tls_key_file);
      host.tls = &*tls;
    }
    listen();
    asio::co_spawn(io, accept_all(), asio::detached);
  }

  void open(Service& service, Backend given_backend) {
    backend.emplace(std::move(given_backend));
    backend->counts = &host.counts;
    backend->options = &options;
    host.service = &service;
    host.backend = &*backend;
    if (host.stopping) {
      service.drain();
    } else {
      tell_status();
    }
  }

  void listen() {
    const tcp::endpoint endpoint = resolve(io, options);
    error_code ec;
    acceptor.open(endpoint.protocol(), ec);
    if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor.bind(endpoint, ec);
    if (!ec) acceptor.listen(tcp::acceptor::max_listen_connections, ec);
    if (ec)
      fail(ErrorCode::kFailed,
           fmt::format("[server] cannot listen on {}:{}: {}", options.host, options.port, ec.message()));
  }

  asio::awaitable<void> accept_all() {
    while (!finished) {
      error_code ec;
      tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, ec));
      if (finished) co_return;
      if (ec) {
        asio::steady_timer pause(io, kAcceptRetry);
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      } else if (connections.size() >= options.max_connections) {
        ++host.counts.connections_refused;
        if (!tls) turn_away(socket);
      } else {
        take_in(std::move(socket));
      }
    }
  }

  void take_in(tcp::socket socket) {
    const auto connection = start_connection(std::move(socket), host, [this](Connection* ended) { forget(ended); });
    connections.insert(connection.get());
    ++host.counts.connections;
  }

  // A word to a client for whom there is no room, if its socket takes it at once.
  static void turn_away(tcp::socket& socket) {
    const ApiError error(503, "the server has no connection left", "too_many_connections");
    const std::string bytes = response_bytes(error.reply(), {.keep_alive = false});
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.send(asio::buffer(bytes), 0, ignored);
    socket.shutdown(tcp::socket::shutdown_both, ignored);
  }

  void forget(Connection* ended) {
    --host.counts.connections;
    connections.erase(ended);
    finishing.erase(ended);
    if (host.stopping && finishing.empty()) finish();
  }

  // Goes on listening, so that who asks hears that the server is on its way out, until the last answer is written.
  void stop(milliseconds grace) {
    if (std::exchange(host.stopping, true)) return cut_all();
    if (host.service != nullptr) host.service->drain();
    finishing = connections;
    each([](Connection& connection) { connection.drain(); });
    if (finishing.empty()) return finish();
    deadline.expires_after(grace);
    deadline.async_wait([this](error_code ec) {
      if (!ec) cut_all();
    });
  }

  void cut_all() {
    each([](Connection& connection) { connection.cut(); });
    if (finishing.empty()) return finish();
    deadline.expires_after(kCutGrace);
    deadline.async_wait([this](error_code ec) {
      if (!ec) each([](Connection& connection) { connection.close(); });
    });
  }

  // Nothing is left to wait for: what came during the end goes too, and run() returns.
  void finish() {
    finished = true;
    error_code ignored;
    acceptor.close(ignored);
    deadline.cancel();
    status_timer.cancel();
    signals.cancel(ignored);
    each([](Connection& connection) { connection.close(); });
  }

  void tell_status() {
    status.log(host.service->stats(), SteadyClock().now_ns());
    status_timer.expires_after(options.status_interval);
    status_timer.async_wait([this](error_code ec) {
      if (!ec && !finished) tell_status();
    });
  }

  template <typename Action>
  void each(Action action) {
    const std::unordered_set<Connection*> all = connections;  // closing one may not, but could, end it at once
    for (Connection* connection : all) action(*connection);
  }

  void wait_for_signal() {
    signals.async_wait([this](error_code ec, int) {
      if (ec) return;
      if (!host.stopping) wait_for_signal();  // a second one cuts; before stop(), which may already be the end
      stop(options.drain_deadline);
    });
  }

  ServerOptions options;
  std::optional<Backend> backend;  // none while the model loads
  std::optional<TlsContext> tls;
  ConnectionHost host;  // before what may still hold connections when it ends
  asio::io_context io;
  asio::thread_pool text_pool{1};
  tcp::acceptor acceptor{io};
  asio::signal_set signals{io};
  asio::steady_timer deadline{io}, status_timer{io};
  StatusLine status;
  std::unordered_set<Connection*> connections;
  std::unordered_set<Connection*> finishing;  // that stop() waits for
  bool finished = false;
};

HttpServer::HttpServer(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

HttpServer::HttpServer(Service& service, Backend backend, ServerOptions options) : HttpServer(std::move(options)) {
  impl_->open(service, std::move(backend));
}

HttpServer::~HttpServer() = default;

uint16_t HttpServer::port() const { return impl_->acceptor.local_endpoint().port(); }

std::string HttpServer::address() const {
  const tcp::endpoint endpoint = impl_->acceptor.local_endpoint();
  const std::string host = endpoint.address().to_string();
  return fmt::format("{}://{}:{}", impl_->tls ? "https" : "http", endpoint.address().is_v6() ? "[" + host + "]" : host,
                     endpoint.port());
}

void HttpServer::run() {
  for (;;) {
    try {
      impl_->io.run();
      return;
    } catch (const std::exception& error) {  // nothing that happens to one connection ends the others
      LogLine(LogLevel::kError, "connection failed").add("reason", printable(error.what(), 500));
    }
  }
}

void HttpServer::open(Service& service, Backend backend) {
  asio::post(impl_->io,
             [this, &service, backend = std::move(backend)]() mutable { impl_->open(service, std::move(backend)); });
}

void HttpServer::stop(milliseconds grace) {
  asio::post(impl_->io, [this, grace] { impl_->stop(grace); });
}

void HttpServer::stop_on_signals() {
  asio::post(impl_->io, [this] {
    impl_->signals.add(SIGINT);
    impl_->signals.add(SIGTERM);
    impl_->wait_for_signal();
  });
}

}  // namespace tern
