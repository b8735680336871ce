#include "server/connection.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/string.hpp>
#include <optional>
#include <utility>

#include "server/answer_stream.h"
#include "server/api_error.h"
#include "server/client_socket.h"
#include "server/cors.h"
#include "server/http_wire.h"
#include "server/request_parser.h"
#include "server/request_record.h"
#include "server/router.h"

namespace tern {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using beast::error_code;

// The memory that one request body takes, for as long as it is read and understood.
class BodyCharge {
 public:
  explicit BodyCharge(uint64_t& total) : total_(total) {}
  ~BodyCharge() { total_ -= mine_; }
  BodyCharge(const BodyCharge&) = delete;
  BodyCharge& operator=(const BodyCharge&) = delete;
  bool grow_to(uint64_t bytes, uint64_t limit) {
    total_ += bytes - mine_;
    mine_ = bytes;
    return total_ <= limit;
  }

 private:
  uint64_t& total_;
  uint64_t mine_ = 0;
};

class HttpConnection final : public Connection, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(asio::ip::tcp::socket socket, ConnectionHost& host)
      : host_(host),
        options_(host.options),
        client_(std::make_shared<ClientSocket>(std::move(socket), host.options, host.tls)) {}

  void drain() override {
    client_->drain();
    if (idle_) client_->close();
  }
  void cut() override {
    client_->drain();
    if (answer_) answer_->cut();
  }
  void close() override { client_->close(); }

  asio::awaitable<void> run() {
    if (host_.stopping) client_->drain();  // came late: one request, which hears so
    const bool begun = co_await client_->handshake();
    if (!begun) co_return;
    for (bool more = true; more;) {
      more = co_await serve_next();
      answer_.reset();
      record_.reset();
      more = more && !client_->draining();
    }
    if (unread_body_) {
      co_await client_->linger();
    } else {
      co_await client_->say_goodbye();
    }
  }

 private:
  // One request and its answer; false when no other can follow.
  asio::awaitable<bool> serve_next() {
    const bool begun = co_await first_bytes();
    if (!begun) co_return false;
    error_code ec;
    RequestParser parser;
    parser.header_limit(static_cast<uint32_t>(options_.max_header_bytes));
    parser.body_limit(options_.max_body_bytes);
    client_->arm(options_.header_deadline);
    while (!ec && !parser.is_header_done()) co_await parse_more(parser, ec);
    client_->disarm();
    record_.emplace(host_.counts);
    if (ec) co_return co_await refuse_bytes(ec);

    HttpRequest request = request_head(parser);
    Exchange exchange = begin_exchange(parser, request);
    const Route* route = nullptr;
    std::optional<HttpReply> refusal = find(parser, request, route, exchange);
    std::optional<BodyCharge> charge(std::in_place, host_.bodies_bytes);
    if (!refusal) {
      refusal = co_await read_body(parser, *charge, ec);
      if (ec) co_return co_await refuse_bytes(ec);
    }
    if (refusal) {
      unread_body_ = !parser.is_done();
      exchange.keep_alive = exchange.keep_alive && !unread_body_;
      co_return co_await send_reply(*refusal, exchange);
    }
    request.body = std::move(parser.get().body());
    Outcome outcome = co_await answer_of(*route, request);
    request.body = {};
    charge.reset();
    if (const auto* whole = std::get_if<HttpReply>(&outcome)) co_return co_await send_reply(*whole, exchange);
    answer_.emplace(*client_, host_, std::get<Generation>(std::move(outcome)), exchange, *record_);
    co_return co_await answer_->run();
  }

  Exchange begin_exchange(const RequestParser& parser, const HttpRequest& request) {
    record_->id = request.id;
    record_->method = known_method(parser);
    return {.id = request.id,
            .keep_alive = parser.keep_alive(),
            .chunks = parser.get().version() >= 11,
            .header_lines = cors_headers(options_.allowed_origins, header_value(parser, "Origin"))};
  }

  asio::awaitable<bool> send_reply(const HttpReply& reply, const Exchange& exchange) {
    record_->status = reply.status;
    record_->error = reply.error;
    co_return co_await client_->send(reply, exchange);
  }

  // Some more of the request; what the socket brings goes through the client's buffer, with TLS or without.
  asio::awaitable<void> parse_more(RequestParser& parser, error_code& ec) {
    if (client_->buffer().size() == 0 || wants_more_) {
      const bool more = co_await client_->read_some();
      if (!more) {
        const bool full = client_->buffer().size() > options_.max_header_bytes;
        ec = full ? http::error::header_limit : http::error::partial_message;
        co_return;
      }
    }
    const size_t used = parser.put(client_->buffer().data(), ec);
    client_->buffer().consume(used);
    wants_more_ = ec == http::error::need_more;
    if (wants_more_) ec = {};
  }

  asio::awaitable<bool> first_bytes() {
    bool begun = client_->buffer().size() > 0;
    if (!begun) {
      client_->buffer().shrink_to_fit();
      wants_more_ = false;
      client_->arm(served_any_ ? options_.idle_deadline : options_.header_deadline);
      idle_ = true;
      begun = co_await client_->wait_for_bytes();
      idle_ = false;
      client_->disarm();
    }
    served_any_ = true;
    co_return begun;
  }

  // What the header alone decides: the route, or the answer already.
  std::optional<HttpReply> find(const RequestParser& parser, HttpRequest& request, const Route*& route,
                                Exchange& exchange) {
    if (!options_.allowed_origins.empty() && is_preflight(parser)) {
      exchange.header_lines = cors_preflight_headers(options_.allowed_origins, header_value(parser, "Origin"),
                                                     header_value(parser, "Access-Control-Request-Headers"));
      return HttpReply{.status = 204};
    }
    try {
      const bool authorized = identify(parser, request);
      route = &find_route(request, authorized);
      record_->route = route->path;
      record_->quiet = is_probe(*route) || request.path == "/metrics";
      if (host_.backend == nullptr) throw loading_error();
      if (host_.stopping && (is_probe(*route) || route->heavy)) throw stopping_error();
      return std::nullopt;
    } catch (const ApiError& error) {
      HttpReply reply = error.reply();
      reply.head_only = request.method == "HEAD";
      return reply;
    }
  }

  // Whose request it is, by its API key; false when a key is asked for and it has no good one.
  bool identify(const RequestParser& parser, HttpRequest& request) {
    if (options_.api_keys.empty()) return true;
    const std::string authorization = header_value(parser, "Authorization");
    const std::string x_api_key = header_value(parser, "x-api-key");
    const Tenant* tenant = options_.api_keys.find(given_key(authorization, x_api_key));
    if (tenant == nullptr) return false;
    request.tenant = tenant->number;
    if (!options_.shared_prefix_cache) request.cache_salt = tenant->salt;
    record_->key = tenant->name;
    return true;
  }

  // The body, bit by bit, so that what all connections hold together is bounded too.
  asio::awaitable<std::optional<HttpReply>> read_body(RequestParser& parser, BodyCharge& charge, error_code& ec) {
    if (!parser.is_done() && beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await client_->write(std::move(go_on));
    }
    client_->arm(options_.body_deadline);
    while (!ec && !parser.is_done()) {
      co_await parse_more(parser, ec);
      if (!charge.grow_to(parser.get().body().size(), options_.max_bodies_bytes)) {
        co_return ApiError(503, "the server holds too many request bodies", "overloaded").reply();
      }
    }
    client_->disarm();
    co_return std::nullopt;
  }

  // Nothing after such bytes can be trusted to begin a request.
  asio::awaitable<bool> refuse_bytes(error_code ec) {
    const std::optional<ApiError> error = unreadable(ec, client_->expired(), options_);
    if (!error) co_return false;
    unread_body_ = true;
    const HttpReply refusal = error->reply();
    const Exchange exchange{.id = request_id("")};
    record_->id = exchange.id;
    co_await send_reply(refusal, exchange);
    co_return false;
  }

  asio::awaitable<Outcome> answer_of(const Route& route, const HttpRequest& request) {
    if (!route.heavy) co_return answer(route, *host_.backend, request);
    co_return co_await asio::co_spawn(
        host_.text_pool,
        [this, &route, &request]() -> asio::awaitable<Outcome> { co_return answer(route, *host_.backend, request); },
        asio::use_awaitable);
  }

  ConnectionHost& host_;
  const ServerOptions& options_;
  std::shared_ptr<ClientSocket> client_;
  std::optional<RequestRecord> record_;  // of the request that is being answered
  std::optional<AnswerStream> answer_;   // that is being written; knows the record
  bool idle_ = false, served_any_ = false, unread_body_ = false;
  bool wants_more_ = false;  // the parser: the bytes in the buffer are not enough
};

}  // namespace

std::shared_ptr<Connection> start_connection(asio::ip::tcp::socket socket, ConnectionHost& host,
                                             std::function<void(Connection*)> on_end) {
  const auto executor = socket.get_executor();
  auto connection = std::make_shared<HttpConnection>(std::move(socket), host);
  asio::co_spawn(executor, connection->run(), [connection, on_end = std::move(on_end)](std::exception_ptr) {
    connection->close();
    on_end(connection.get());
  });
  return connection;
}

}  // namespace tern
