// What all connections of a server share. Owned by the HttpServer; I/O thread only, but for the pool and the mailbox.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <memory>

#include "server/event_inbox.h"
#include "server/exchange.h"
#include "server/server_counts.h"
#include "server/server_options.h"
#include "server/tls.h"

namespace tern {

struct ConnectionHost {
  const ServerOptions& options;
  boost::asio::thread_pool& text_pool;  // reads JSON, renders templates, makes tokens
  std::shared_ptr<EventMailbox> mailbox;
  TlsContext* tls = nullptr;         // null: plain HTTP
  Service* service = nullptr;        // null while the model loads, as
  const Backend* backend = nullptr;  // this is
  ServerCounts counts = {};
  uint64_t bodies_bytes = 0;  // of request bodies in memory
  bool stopping = false;
};

}  // namespace tern
