// A client's socket, plain or with TLS: bytes in and out, each with a deadline, and what has been read ahead of its
// time.
//
// Owned by its connection and by the timer that watches over it; I/O thread only. One read and one write at a time.
// Errors are answers here, never exceptions, so that a coroutine that waits beside another always ends.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "server/exchange.h"
#include "server/server_options.h"

namespace tern {

struct TlsContext;

// How the reply to the current request goes out.
struct Exchange {
  std::string id;
  bool keep_alive = false;
  bool chunks = true;             // HTTP/1.0 has none
  std::string header_lines = {};  // beyond those that every reply has
};

class ClientSocket : public std::enable_shared_from_this<ClientSocket> {
 public:
  // `tls` null: plain.
  ClientSocket(boost::asio::ip::tcp::socket socket, const ServerOptions& options, TlsContext* tls);
  ~ClientSocket();

  boost::asio::any_io_executor executor() { return socket_.get_executor(); }
  boost::beast::flat_buffer& buffer() { return buffer_; }

  // What the socket does from here on is broken off after `time`, until disarm().
  void arm(std::chrono::milliseconds time);
  void disarm() { deadline_ = Clock::time_point::max(); }
  bool expired() const { return expired_; }

  // TLS begins; true at once when there is none.
  boost::asio::awaitable<bool> handshake();
  // Waits for bytes without holding memory for them: most connections are idle most of the time.
  boost::asio::awaitable<bool> wait_for_bytes();
  // More of a request; false when the client is gone or the time armed has passed.
  boost::asio::awaitable<bool> read_some();
  boost::asio::awaitable<bool> write(std::string bytes);
  // A whole reply. True when another request may follow.
  boost::asio::awaitable<bool> send(const HttpReply& reply, const Exchange& exchange);
  // Returns when the client is gone. What it sends meanwhile is kept.
  boost::asio::awaitable<void> watch();
  // Reads on for a moment after a refusal: closing over unread bytes would reset the connection and lose the reply.
  boost::asio::awaitable<void> linger();
  // TLS ends, so that the client knows that nothing was cut off.
  boost::asio::awaitable<void> say_goodbye();

  // How long the write that is under way has been waiting for the client to read; 0: none is.
  std::chrono::milliseconds write_waits() const;
  // The current request is the last one.
  void drain() { draining_ = true; }
  bool draining() const { return draining_; }
  void close();

 private:
  using Clock = boost::asio::steady_timer::clock_type;
  struct Tls;

  void watch_deadline();
  bool write_at_once(std::string& bytes);

  const ServerOptions& options_;
  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<Tls> tls_;  // null: plain
  // The timer is set to wake at the deadline or before, looks, and is set again: a deadline that is moved with each
  // token costs no more than its assignment.
  boost::asio::steady_timer timer_;
  Clock::time_point deadline_ = Clock::time_point::max(), wakes_ = Clock::time_point::max();
  Clock::time_point write_began_ = Clock::time_point::max();  // that waits; max: none
  boost::beast::flat_buffer buffer_;
  bool expired_ = false, draining_ = false;
};

}  // namespace tern
