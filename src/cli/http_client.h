// An HTTP/1.1 client for load generators: one connection, kept and used again, whose replies arrive piece by piece.
//
// Coroutines on one thread; one exchange at a time. A failure is an answer here, never an exception; what on_body
// throws counts as one.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

// Where a server is: "http://127.0.0.1:8000/prefix".
struct HttpAddress {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::string prefix;  // before every path, without a slash at its end

  // Throws a bad-input line that names `url`.
  static HttpAddress parse(const std::string& url);
  std::string authority() const;  // "127.0.0.1:8000", "[::1]:8000"
};

struct HttpCall {
  std::string method = "POST", path, body;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct HttpOutcome {
  int status = 0;        // 0: no header arrived
  std::string error;     // why no whole reply arrived; empty: it did
  bool hung_up = false;  // because the server closed the connection

  bool ok() const { return error.empty() && status == 200; }
};

class HttpClient {
 public:
  using Body = std::function<void(int status, std::string_view bytes)>;

  // `silence`: the longest time without a byte.
  HttpClient(boost::asio::io_context& io, const HttpAddress& address,
             boost::asio::ip::tcp::resolver::results_type endpoints, std::chrono::milliseconds silence);

  // A kept connection that the server has closed meanwhile is opened again. `call` and `on_body` stay the caller's.
  boost::asio::awaitable<HttpOutcome> exchange(const HttpCall& call, const Body& on_body);

 private:
  boost::asio::awaitable<HttpOutcome> attempt(const HttpCall& call, const Body& on_body);
  std::string describe(const boost::system::error_code& ec, const char* doing) const;
  void close();

  const HttpAddress& address_;
  boost::asio::ip::tcp::resolver::results_type endpoints_;
  std::chrono::milliseconds silence_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
};

// Throws a line that names the address when it has none.
boost::asio::ip::tcp::resolver::results_type resolve(boost::asio::io_context& io, const HttpAddress& address);

}  // namespace tern
