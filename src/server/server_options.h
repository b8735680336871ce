// How the server listens and what it bears. A plain value; the command line fills it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/limits.h"
#include "server/api_keys.h"

namespace tern {

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;                            // 0: a free one, which is printed
  std::string tls_certificate_file, tls_key_file;  // both: TLS
  ApiKeys api_keys;                                // none: none is asked for
  bool shared_prefix_cache = false;                // tenants find each other's cached prefixes
  std::vector<std::string> allowed_origins;        // of web pages that may read answers
  std::vector<std::string>
      served_names;  // what requests may call the model, the first in lists; empty: its file's name
  std::string metrics_prefix = "tern";

  size_t max_connections = Limits::kConnections;
  size_t max_queued_requests = Limits::kQueuedRequests;
  uint64_t max_header_bytes = Limits::kRequestHeaderBytes;
  uint64_t max_body_bytes = Limits::kRequestBodyBytes;
  uint64_t max_bodies_bytes = 256 << 20;     // of all connections together
  uint64_t stream_buffer_bytes = 256 << 10;  // of events that a slow reader has not taken

  std::chrono::milliseconds header_deadline{10'000};  // from a request's first byte to the end of its header
  std::chrono::milliseconds body_deadline{60'000};
  std::chrono::milliseconds idle_deadline{75'000};     // between requests
  std::chrono::milliseconds write_deadline{30'000};    // one write
  std::chrono::milliseconds first_event_wait{15'000};  // the head of a stream waits so long for the engine's first word
  std::chrono::milliseconds ping_interval{30'000};     // a comment in a silent stream, so that proxies keep it
  std::chrono::milliseconds drain_deadline{30'000};    // after a signal, for the answers that are running
  std::chrono::milliseconds status_interval{10'000};   // a line in the log while there is traffic
};

}  // namespace tern
