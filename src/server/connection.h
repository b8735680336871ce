// One client's connection: requests one after the other, each read within its limits and deadlines and answered in full
// or as a stream. Lives on the I/O thread and ends by itself; whatever happens in it ends it and nothing else.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>

#include "server/connection_host.h"

namespace tern {

class Connection {
 public:
  virtual ~Connection() = default;
  // No further request: an idle connection closes, a busy one after its answer.
  virtual void drain() = 0;
  // A running answer ends with an error.
  virtual void cut() = 0;
  // At once.
  virtual void close() = 0;
};

// `on_end` is called once, after the connection's last action.
std::shared_ptr<Connection> start_connection(boost::asio::ip::tcp::socket socket, ConnectionHost& host,
                                             std::function<void(Connection*)> on_end);

}  // namespace tern
