#include "server/request_parser.h"

#include "server/http_wire.h"

namespace tern {
namespace http = boost::beast::http;
namespace {

std::string text(boost::beast::string_view view) { return {view.data(), view.size()}; }

}  // namespace

HttpRequest request_head(const RequestParser& parser) {
  const auto& header = parser.get();
  HttpRequest request;
  request.method = text(header.method_string());
  request.path = text(header.target().substr(0, header.target().find('?')));
  request.id = request_id(header_value(parser, "X-Request-Id"));
  return request;
}

std::string header_value(const RequestParser& parser, std::string_view name) {
  return text(parser.get()[boost::beast::string_view(name.data(), name.size())]);
}

std::string_view known_method(const RequestParser& parser) {
  const http::verb verb = parser.get().method();
  if (verb == http::verb::unknown) return "unknown";
  const auto name = http::to_string(verb);
  return {name.data(), name.size()};
}

bool is_preflight(const RequestParser& parser) {
  return parser.get().method() == http::verb::options && parser.get().count("Access-Control-Request-Method") > 0;
}

std::optional<ApiError> unreadable(boost::beast::error_code ec, bool expired, const ServerOptions& options) {
  const auto more_than = [](const char* what, uint64_t bytes) {
    return std::string("the ") + what + " has more than " + std::to_string(bytes) + " bytes";
  };
  if (expired) return ApiError(408, "the request did not arrive in time", "timeout");
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return ApiError(431, more_than("header", options.max_header_bytes), "header_too_large");
  }
  if (ec == http::error::body_limit) return ApiError(413, more_than("body", options.max_body_bytes), "body_too_large");
  const bool left = ec == http::error::end_of_stream || ec == http::error::partial_message;
  if (left || ec.category() != make_error_code(http::error::bad_method).category()) return std::nullopt;
  return ApiError(400, "the bytes are not an HTTP/1.1 request", "bad_http");
}

}  // namespace tern
