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
#include <unordered_set>
#include <utility>

#include "server/api_error.h"
#include "server/connection.h"
#include "server/http_wire.h"

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
  Impl(Service& service, Backend given_backend, ServerOptions given_options)
      : backend(std::move(given_backend)),
        options(std::move(given_options)),
        host{.service = service, .backend = backend, .options = options, .text_pool = text_pool} {
    listen();
    asio::co_spawn(io, accept_all(), asio::detached);
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
    while (!host.stopping) {
      error_code ec;
      tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, ec));
      if (host.stopping) co_return;
      if (ec) {
        asio::steady_timer pause(io, kAcceptRetry);
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      } else if (connections.size() >= options.max_connections) {
        turn_away(socket);
      } else {
        connections.insert(
            start_connection(std::move(socket), host, [this](Connection* ended) { forget(ended); }).get());
      }
    }
  }

  // A word to a client for whom there is no room, if its socket takes it at once.
  static void turn_away(tcp::socket& socket) {
    const ApiError error(503, "the server has no connection left", "too_many_connections");
    const std::string bytes = response_bytes(error.reply(), false, "");
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.send(asio::buffer(bytes), 0, ignored);
    socket.shutdown(tcp::socket::shutdown_both, ignored);
  }

  void forget(Connection* ended) {
    connections.erase(ended);
    if (host.stopping && connections.empty()) finish();
  }

  void stop(milliseconds grace) {
    if (std::exchange(host.stopping, true)) return cut_all();
    error_code ignored;
    acceptor.close(ignored);
    host.service.drain();
    each([](Connection& connection) { connection.drain(); });
    if (connections.empty()) return finish();
    deadline.expires_after(grace);
    deadline.async_wait([this](error_code ec) {
      if (!ec) cut_all();
    });
  }

  void cut_all() {
    each([](Connection& connection) { connection.cut(); });
    if (connections.empty()) return finish();
    deadline.expires_after(kCutGrace);
    deadline.async_wait([this](error_code ec) {
      if (!ec) each([](Connection& connection) { connection.close(); });
    });
  }

  void finish() {
    deadline.cancel();
    error_code ignored;
    signals.cancel(ignored);
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

  Backend backend;
  ServerOptions options;
  asio::io_context io;
  asio::thread_pool text_pool{1};
  tcp::acceptor acceptor{io};
  asio::signal_set signals{io};
  asio::steady_timer deadline{io};
  ConnectionHost host;
  std::unordered_set<Connection*> connections;
};

HttpServer::HttpServer(Service& service, Backend backend, ServerOptions options)
    : impl_(std::make_unique<Impl>(service, std::move(backend), std::move(options))) {}

HttpServer::~HttpServer() = default;

uint16_t HttpServer::port() const { return impl_->acceptor.local_endpoint().port(); }

std::string HttpServer::address() const {
  const tcp::endpoint endpoint = impl_->acceptor.local_endpoint();
  const std::string host = endpoint.address().to_string();
  return fmt::format("{}:{}", endpoint.address().is_v6() ? "[" + host + "]" : host, endpoint.port());
}

void HttpServer::run() {
  for (;;) {
    try {
      impl_->io.run();
      return;
    } catch (const std::exception& error) {  // nothing that happens to one connection ends the others
      fmt::print(stderr, "tern: server: {}\n", printable(error.what(), 500));
    }
  }
}

void HttpServer::stop(milliseconds grace) {
  asio::post(impl_->io, [this, grace] { impl_->stop(grace); });
}

void HttpServer::stop_on_signals() {
  impl_->signals.add(SIGINT);
  impl_->signals.add(SIGTERM);
  impl_->wait_for_signal();
}

}  // namespace tern
