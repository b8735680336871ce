#include "server/cors.h"

#include <algorithm>

#include "core/error.h"

namespace tern {
namespace {

// Only what a header may carry back.
bool harmless(std::string_view text) {
  return text.size() <= 1024 && std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

std::string cors_headers(const std::vector<std::string>& allowed, std::string_view origin) {
  if (allowed.empty()) return "";
  const bool any = std::find(allowed.begin(), allowed.end(), "*") != allowed.end();
  // The reply differs by origin, also for those that are refused: caches have to know.
  std::string out = any ? "" : "Vary: Origin\r\n";
  if (origin.empty() || (!any && std::find(allowed.begin(), allowed.end(), origin) == allowed.end())) return out;
  out.append("Access-Control-Allow-Origin: ").append(any ? "*" : origin).append("\r\n");
  return out += "Access-Control-Expose-Headers: X-Request-Id, Retry-After\r\n";
}

std::string cors_preflight_headers(const std::vector<std::string>& allowed, std::string_view origin,
                                   std::string_view wanted_headers) {
  std::string out = cors_headers(allowed, origin);
  if (out.find("Allow-Origin") == std::string::npos) return out;
  out += "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\nAccess-Control-Max-Age: 600\r\n";
  if (!wanted_headers.empty() && harmless(wanted_headers)) {
    out.append("Access-Control-Allow-Headers: ").append(wanted_headers).append("\r\n");
  }
  return out;
}

void check_origin(const std::string& origin) {
  if (origin == "*") return;
  const size_t scheme = origin.find("://");
  const bool whole = scheme != std::string::npos && scheme > 0 && origin.size() > scheme + 3;
  if (!whole || origin.find('/', scheme + 3) != std::string::npos || !harmless(origin) ||
      origin.find(' ') != std::string::npos) {
    bad_input("[options] --allowed-origins \"" + printable(origin) + "\" is neither * nor like https://host:port");
  }
}

}  // namespace tern
