// One answer on its way: submits its choices, turns their events into bytes as they come, and sends them, whole or as a
// stream, while it watches whether anybody still reads.
//
// Made by a connection for one request; I/O thread only. However it ends, every choice that has not ended is cancelled.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "server/client_socket.h"
#include "server/connection_host.h"
#include "server/request_record.h"

namespace tern {

class AnswerStream {
 public:
  AnswerStream(ClientSocket& client, ConnectionHost& host, Generation generation, const Exchange& exchange,
               RequestRecord& record);
  ~AnswerStream();
  AnswerStream(const AnswerStream&) = delete;
  AnswerStream& operator=(const AnswerStream&) = delete;

  // True when another request may follow on the connection.
  boost::asio::awaitable<bool> run();
  // Ends it now, with an error.
  void cut() { inbox_->cut(); }

 private:
  std::optional<ApiError> submit();
  boost::asio::awaitable<bool> send_all();
  boost::asio::awaitable<bool> send_events();
  std::optional<ApiError> take_events(std::string& out);
  boost::asio::awaitable<bool> send_reply(HttpReply reply);
  boost::asio::awaitable<bool> send_failure(ApiError error);
  boost::asio::awaitable<bool> send_part(std::string data, bool last);

  ClientSocket& client_;
  Service& service_;
  const ServerOptions& options_;
  Generation generation_;
  const Exchange exchange_;
  RequestRecord& record_;
  std::shared_ptr<EventInbox> inbox_;
  std::vector<EventInbox::ChoiceEvent> events_;  // taken last
  std::vector<Ticket> tickets_;
  size_t open_;  // choices that have not ended
  bool head_sent_ = false, keeps_alive_ = false;
};

}  // namespace tern
