// HTTP/1.1 as bytes on the way out: heads and chunks (RFC 9112). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/exchange.h"

namespace tern {

struct HeadOptions {
  bool keep_alive = true;
  bool chunked = false;  // no length: chunks follow, or, when neither this nor a length is given, bytes until the end
  std::optional<uint64_t> length;
  std::string_view request_id;
  std::string_view header_lines = {};  // further ones, each with its line break
};

// Status line and header fields up to the empty line.
std::string response_head(const HttpReply& reply, const HeadOptions& options);

// Head and body of a whole reply; its length is filled in.
std::string response_bytes(const HttpReply& reply, HeadOptions options);

// One chunk; nothing for no data, because an empty chunk is the end.
std::string http_chunk(std::string_view data);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// "Tue, 15 Nov 1994 08:12:31 GMT"
std::string http_date(int64_t unix_seconds);

// The client's id when it is short and harmless, else a new one.
std::string request_id(std::string_view from_client);

}  // namespace tern
