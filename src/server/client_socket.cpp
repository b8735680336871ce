#include "server/client_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "server/http_wire.h"
#include "server/tls.h"

namespace tern {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
namespace {

constexpr size_t kReadBytes = 4096;
constexpr size_t kBufferBytes = 65'536;  // beyond the header: what has been read ahead
constexpr std::chrono::milliseconds kLinger{2000};
constexpr std::chrono::milliseconds kGoodbye{500};
constexpr uint64_t kLingerBytes = 64 << 20;  // of a refused body, so that its sender lives to read the reply
constexpr int kSendBuffer = 128 << 10;       // of the kernel, which hides a slow reader

auto with(error_code& ec) { return asio::redirect_error(asio::use_awaitable, ec); }

}  // namespace

struct ClientSocket::Tls {
  Tls(tcp::socket& socket, TlsContext& tls) : stream(socket, tls.context) {}
  asio::ssl::stream<tcp::socket&> stream;
};

ClientSocket::ClientSocket(tcp::socket socket, const ServerOptions& options, TlsContext* tls)
    : options_(options),
      socket_(std::move(socket)),
      tls_(tls == nullptr ? nullptr : std::make_unique<Tls>(socket_, *tls)),
      timer_(socket_.get_executor()),
      buffer_(options.max_header_bytes + kBufferBytes) {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::send_buffer_size(kSendBuffer), ignored);
}

ClientSocket::~ClientSocket() = default;

void ClientSocket::arm(std::chrono::milliseconds time) {
  expired_ = false;
  deadline_ = Clock::now() + time;
  if (deadline_ < wakes_) watch_deadline();
}

void ClientSocket::watch_deadline() {
  wakes_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([weak = weak_from_this()](error_code ec) {
    const auto self = weak.lock();
    if (ec || !self) return;
    self->wakes_ = Clock::time_point::max();
    if (self->deadline_ == Clock::time_point::max()) return;
    if (self->deadline_ > Clock::now()) return self->watch_deadline();
    error_code ignored;
    self->expired_ = true;
    self->socket_.cancel(ignored);
  });
}

asio::awaitable<bool> ClientSocket::handshake() {
  if (!tls_) co_return true;
  error_code ec;
  arm(options_.header_deadline);
  co_await tls_->stream.async_handshake(asio::ssl::stream_base::server, with(ec));
  disarm();
  co_return !ec;
}

asio::awaitable<bool> ClientSocket::wait_for_bytes() {
  if (tls_) co_return co_await read_some();
  error_code ec;
  co_await socket_.async_wait(tcp::socket::wait_read, with(ec));
  if (ec) co_return false;
  co_return co_await read_some();
}

asio::awaitable<bool> ClientSocket::read_some() {
  if (buffer_.size() + kReadBytes > buffer_.max_size()) co_return false;
  error_code ec;
  const auto space = buffer_.prepare(kReadBytes);
  size_t bytes = 0;
  if (tls_) {
    bytes = co_await tls_->stream.async_read_some(space, with(ec));
  } else {
    bytes = co_await socket_.async_read_some(space, with(ec));
  }
  buffer_.commit(bytes);
  co_return !ec;
}

// The usual case, a socket that takes all at once, without a trip through the reactor.
bool ClientSocket::write_at_once(std::string& bytes) {
  if (tls_) return false;
  const ssize_t sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent <= 0) return false;
  bytes.erase(0, static_cast<size_t>(sent));
  return bytes.empty();
}

asio::awaitable<bool> ClientSocket::write(std::string bytes) {
  if (write_at_once(bytes)) co_return true;
  error_code ec;
  arm(options_.write_deadline);
  write_began_ = Clock::now();
  if (tls_) {
    co_await asio::async_write(tls_->stream, asio::buffer(bytes), with(ec));
  } else {
    co_await asio::async_write(socket_, asio::buffer(bytes), with(ec));
  }
  write_began_ = Clock::time_point::max();
  disarm();
  co_return !ec;
}

asio::awaitable<bool> ClientSocket::send(const HttpReply& reply, const Exchange& exchange) {
  const bool keep_alive = exchange.keep_alive && !draining_;
  std::string bytes = response_bytes(
      reply, {.keep_alive = keep_alive, .request_id = exchange.id, .header_lines = exchange.header_lines});
  const bool sent = co_await write(std::move(bytes));
  co_return sent&& keep_alive;
}

asio::awaitable<void> ClientSocket::watch() {
  while (buffer_.size() < kReadBytes) {
    const bool more = co_await read_some();
    if (!more) co_return;
  }
  error_code ignored;  // it sends ahead without end: no more of that before its turn
  asio::steady_timer forever(socket_.get_executor(), asio::steady_timer::time_point::max());
  co_await forever.async_wait(with(ignored));
}

asio::awaitable<void> ClientSocket::linger() {
  error_code ignored;
  co_await say_goodbye();
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  arm(kLinger);
  // Bytes as they come from the network: after the goodbye they mean nothing.
  size_t bytes = 1;
  for (uint64_t left = kLingerBytes; bytes > 0 && left > 0; left -= std::min<uint64_t>(left, bytes)) {
    buffer_.clear();
    bytes = co_await socket_.async_read_some(buffer_.prepare(kReadBytes), with(ignored));
  }
  disarm();
}

asio::awaitable<void> ClientSocket::say_goodbye() {
  if (!tls_ || !socket_.is_open()) co_return;
  error_code ignored;
  arm(kGoodbye);
  co_await tls_->stream.async_shutdown(with(ignored));
  disarm();
}

std::chrono::milliseconds ClientSocket::write_waits() const {
  if (write_began_ == Clock::time_point::max()) return std::chrono::milliseconds(0);
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - write_began_);
}

void ClientSocket::close() {
  error_code ignored;
  timer_.cancel();
  socket_.close(ignored);
}

}  // namespace tern
