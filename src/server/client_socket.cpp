#include "server/client_socket.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "server/http_wire.h"

namespace tern {
namespace asio = boost::asio;
using boost::system::error_code;
namespace {

constexpr size_t kReadBytes = 4096;
constexpr size_t kBufferBytes = 65'536;  // beyond the header: what has been read ahead
constexpr std::chrono::milliseconds kLinger{2000};
constexpr uint64_t kLingerBytes = 64 << 20;  // of a refused body, so that its sender lives to read the reply
constexpr int kSendBuffer = 128 << 10;       // of the kernel, which hides a slow reader

auto with(error_code& ec) { return asio::redirect_error(asio::use_awaitable, ec); }

}  // namespace

ClientSocket::ClientSocket(asio::ip::tcp::socket socket, const ServerOptions& options)
    : options_(options),
      socket_(std::move(socket)),
      deadline_(socket_.get_executor()),
      buffer_(options.max_header_bytes + kBufferBytes) {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::send_buffer_size(kSendBuffer), ignored);
}

void ClientSocket::arm(std::chrono::milliseconds time) {
  expired_ = false;
  deadline_.expires_after(time);
  deadline_.async_wait([weak = weak_from_this()](error_code ec) {
    const auto self = weak.lock();
    if (ec || !self || self->deadline_.expiry() > asio::steady_timer::clock_type::now()) return;
    error_code ignored;
    self->expired_ = true;
    self->socket_.cancel(ignored);
  });
}

void ClientSocket::disarm() { deadline_.expires_at(asio::steady_timer::time_point::max()); }

asio::awaitable<bool> ClientSocket::read_some() {
  error_code ec;
  const size_t bytes = co_await socket_.async_read_some(buffer_.prepare(kReadBytes), with(ec));
  buffer_.commit(bytes);
  co_return !ec;
}

asio::awaitable<bool> ClientSocket::write(std::string bytes) {
  error_code ec;
  arm(options_.write_deadline);
  co_await asio::async_write(socket_, asio::buffer(bytes), with(ec));
  disarm();
  co_return !ec;
}

asio::awaitable<bool> ClientSocket::send(const HttpReply& reply, const Exchange& exchange) {
  const bool keep_alive = exchange.keep_alive && !draining_;
  std::string bytes = response_bytes(reply, keep_alive, exchange.id);
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
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  arm(kLinger);
  bool more = true;
  for (uint64_t left = kLingerBytes; more && left > 0;) {
    buffer_.clear();
    more = co_await read_some();
    left -= std::min<uint64_t>(left, buffer_.size());
  }
  disarm();
}

bool ClientSocket::takes_bytes() {
  pollfd writable{socket_.native_handle(), POLLOUT, 0};
  return ::poll(&writable, 1, 0) != 0;
}

void ClientSocket::close() {
  error_code ignored;
  deadline_.cancel();
  socket_.close(ignored);
}

}  // namespace tern
