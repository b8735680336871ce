// HTTP requests out of bytes, by Beast's parser, and what of them the server looks at. Pure functions; any thread.
#pragma once

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "server/api_error.h"
#include "server/exchange.h"
#include "server/server_options.h"

namespace tern {

using RequestParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

// Method, path and id of a request whose header has been read.
HttpRequest request_head(const RequestParser& parser);
// A header's value; empty when there is none.
std::string header_value(const RequestParser& parser, std::string_view name);
// Its method, when it is one that exists: nothing else gets into the log.
std::string_view known_method(const RequestParser& parser);
// A browser asks whether its page may: no key comes with that, and none is needed for the answer.
bool is_preflight(const RequestParser& parser);

// Why bytes could not be read as a request; nothing when there is nobody to tell. `expired`: they did not come in time.
std::optional<ApiError> unreadable(boost::beast::error_code ec, bool expired, const ServerOptions& options);

}  // namespace tern
