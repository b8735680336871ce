#include "cli/http_client.h"

#include <fmt/core.h>

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>
#include <charconv>

#include "core/error.h"

namespace tern {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
namespace {

constexpr size_t kPieceBytes = 16 << 10;

auto with(error_code& ec) { return asio::redirect_error(asio::use_awaitable, ec); }

bool hung_up(const error_code& ec) {
  return ec == http::error::end_of_stream || ec == http::error::partial_message || ec == asio::error::eof ||
         ec == asio::error::connection_reset || ec == asio::error::broken_pipe;
}

http::request<http::string_body> request_of(const HttpCall& call, const HttpAddress& address) {
  http::request<http::string_body> request(http::string_to_verb(call.method), address.prefix + call.path, 11);
  request.set(http::field::host, address.authority());
  request.set(http::field::accept, "*/*");
  if (!call.body.empty()) request.set(http::field::content_type, "application/json");
  for (const auto& [name, value] : call.headers) request.set(name, value);
  request.body() = call.body;
  request.prepare_payload();
  return request;
}

}  // namespace

HttpAddress HttpAddress::parse(const std::string& url) {
  const auto refuse = [&](const char* why) { bad_input(fmt::format("[http] {}: {}", printable(url), why)); };
  HttpAddress out;
  std::string rest = url;
  if (rest.rfind("https://", 0) == 0) refuse("https is not spoken here; use http");
  if (rest.rfind("http://", 0) == 0) rest.erase(0, 7);
  const size_t slash = std::min(rest.find('/'), rest.size());
  out.prefix = rest.substr(slash);
  while (!out.prefix.empty() && out.prefix.back() == '/') out.prefix.pop_back();
  rest.resize(slash);
  const size_t bracket = rest.rfind(']');
  const size_t colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
  out.port = 80;
  if (colon != std::string::npos) {
    const char* end = rest.data() + rest.size();
    const auto [last, error] = std::from_chars(rest.data() + colon + 1, end, out.port);
    if (error != std::errc() || last != end || out.port == 0) refuse("the port is not in 1..65535");
    rest.resize(colon);
  }
  if (!rest.empty() && rest.front() == '[') rest = rest.substr(1, rest.size() - 2);
  if (rest.empty()) refuse("there is no host; write http://HOST:PORT");
  out.host = rest;
  return out;
}

std::string HttpAddress::authority() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

HttpClient::HttpClient(asio::io_context& io, const HttpAddress& address,
                       asio::ip::tcp::resolver::results_type endpoints, std::chrono::milliseconds silence)
    : address_(address), endpoints_(std::move(endpoints)), silence_(silence), stream_(io) {}

std::string HttpClient::describe(const error_code& ec, const char* doing) const {
  if (ec == beast::error::timeout) {
    return fmt::format("{}: nothing for {} s", doing, static_cast<double>(silence_.count()) / 1000);
  }
  if (hung_up(ec)) return fmt::format("{}: the server closed the connection", doing);
  return fmt::format("{}: {}", doing, ec.message());
}

void HttpClient::close() {
  error_code ignored;
  stream_.socket().close(ignored);
  buffer_.clear();
}

asio::awaitable<HttpOutcome> HttpClient::exchange(const HttpCall& call, const Body& on_body) {
  const bool kept = stream_.socket().is_open();
  HttpOutcome outcome = co_await attempt(call, on_body);
  if (kept && outcome.status == 0 && outcome.hung_up) outcome = co_await attempt(call, on_body);
  co_return outcome;
}

asio::awaitable<HttpOutcome> HttpClient::attempt(const HttpCall& call, const Body& on_body) {
  HttpOutcome out;
  error_code ec;
  const auto failed = [&](const char* doing) {
    out.error = describe(ec, doing);
    out.hung_up = hung_up(ec);
    close();
    return out;
  };
  if (!stream_.socket().is_open()) {
    stream_.expires_after(silence_);
    co_await stream_.async_connect(endpoints_, with(ec));
    if (ec) co_return failed("connecting");
    stream_.socket().set_option(asio::ip::tcp::no_delay(true), ec);
  }
  http::request<http::string_body> request = request_of(call, address_);
  stream_.expires_after(silence_);
  co_await http::async_write(stream_, request, with(ec));
  if (ec) co_return failed("sending");

  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  stream_.expires_after(silence_);
  co_await http::async_read_header(stream_, buffer_, parser, with(ec));
  if (ec) co_return failed("waiting");
  out.status = static_cast<int>(parser.get().result_int());
  std::array<char, kPieceBytes> piece;
  while (!parser.is_done()) {
    auto& body = parser.get().body();
    body.data = piece.data();
    body.size = piece.size();
    stream_.expires_after(silence_);
    co_await http::async_read_some(stream_, buffer_, parser, with(ec));
    if (ec == http::error::need_buffer) ec = {};
    const size_t got = piece.size() - body.size;
    try {
      if (got > 0) on_body(out.status, std::string_view(piece.data(), got));
    } catch (const std::exception& error) {
      out.error = error.what();
      close();
      co_return out;
    }
    if (ec) co_return failed("reading");
  }
  stream_.expires_never();
  if (!parser.keep_alive()) close();
  co_return out;
}

asio::ip::tcp::resolver::results_type resolve(asio::io_context& io, const HttpAddress& address) {
  error_code ec;
  asio::ip::tcp::resolver resolver(io);
  auto found = resolver.resolve(address.host, std::to_string(address.port), ec);
  if (ec) bad_input(fmt::format("[http] {}: {}", printable(address.host), ec.message()));
  return found;
}

}  // namespace tern
