// What passes between the connections (bytes, sockets) and the routes (meaning): a request, a reply, an answer in the
// making. Plain values without a socket, so that every route is a function that a test can call.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/service.h"

namespace tern {

struct ServerCounts;
struct ServerOptions;

struct HttpRequest {
  std::string method;
  std::string path;             // without the query
  std::string id;               // X-Request-Id: the client's or a new one
  uint32_t tenant = 0;          // the API key's; 0: no keys are asked for
  std::string cache_salt = {};  // of the tenant: goes before the request's own
  std::string body = {};
};

struct HttpReply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};  // beyond those that every reply has
  std::string error = {};                                         // code of an error, for the log
  bool head_only = false;                                         // answers HEAD: the body's length, but not the body
};

// Turns events into the bytes of one answer. Used by one thread at a time.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  // What a stream sends for the event; nothing when the answer comes as one piece.
  virtual std::string on_event(size_t choice, TextEvent&& event) = 0;
  // Every choice has ended: the stream's last bytes, or the whole body.
  virtual std::string finish() = 0;
};

// An answer that the engine has to write: one submission a choice, still without sinks.
struct Generation {
  std::vector<Submission> submissions;
  std::unique_ptr<AnswerWriter> writer;
  bool stream = false;
  std::string user = {};  // what the client calls its user, for the log
};

using Outcome = std::variant<HttpReply, Generation>;

// What the routes know. Constant while the server runs; any thread.
struct Backend {
  const Model& model;
  const Service& service;
  std::vector<std::string> names;  // served, at least one
  int64_t created = 0;             // wall clock, seconds
  // The server's own, set by it; for routes that run on its thread.
  const ServerCounts* counts = nullptr;
  const ServerOptions* options = nullptr;
};

}  // namespace tern
