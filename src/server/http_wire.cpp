#include "server/http_wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <random>

#include "core/rng.h"

namespace tern {
namespace {

constexpr size_t kRequestIdBytes = 128;

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Unknown";
  }
}

}  // namespace

std::string http_date(int64_t unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string response_head(const HttpReply& reply, const HeadOptions& options) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nServer: tern\r\nDate: {}\r\nContent-Type: {}\r\n", reply.status,
                                 reason_of(reply.status), http_date(std::time(nullptr)), reply.content_type);
  if (options.length) head += fmt::format("Content-Length: {}\r\n", *options.length);
  if (options.chunked) head += "Transfer-Encoding: chunked\r\n";
  head += options.keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  if (!options.request_id.empty()) head += fmt::format("X-Request-Id: {}\r\n", options.request_id);
  for (const auto& [name, value] : reply.headers) head += fmt::format("{}: {}\r\n", name, value);
  head += options.header_lines;
  return head += "\r\n";
}

std::string response_bytes(const HttpReply& reply, HeadOptions options) {
  if (reply.status != 204) options.length = reply.body.size();  // RFC 9110, section 8.6
  return response_head(reply, options) + (reply.head_only ? "" : reply.body);
}

std::string http_chunk(std::string_view data) {
  if (data.empty()) return "";
  std::string out = fmt::format("{:x}\r\n", data.size());
  return out.append(data).append("\r\n");
}

std::string request_id(std::string_view from_client) {
  const auto harmless = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!from_client.empty() && from_client.size() <= kRequestIdBytes &&
      std::all_of(from_client.begin(), from_client.end(), harmless)) {
    return std::string(from_client);
  }
  static const uint64_t process = std::random_device{}() | uint64_t{std::random_device{}()} << 32;
  static std::atomic<uint64_t> next{0};
  const uint64_t number = next.fetch_add(1, std::memory_order_relaxed);
  return fmt::format("{:016x}{:08x}", random_bits(process, number), number & 0xffffffff);
}

}  // namespace tern
