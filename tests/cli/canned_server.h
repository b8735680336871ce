// A server for tests of clients: answers each request with the bytes it is told to, in the pieces it is told to.
//
// A thread a connection. Everything ends with the object.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tern::test {

class CannedServer {
 public:
  struct Reply {
    std::vector<std::string> pieces;  // one send each
    bool closes = false;              // the connection, afterwards
    int pause_ms = 0;                 // before each piece
  };
  // `request` is the header and the body. Called by several threads.
  explicit CannedServer(std::function<Reply(const std::string& request)> answer);
  ~CannedServer();

  uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  std::vector<std::string> requests() const;

 private:
  void accept_all();
  void serve(int socket);

  std::function<Reply(const std::string&)> answer_;
  int listener_;
  uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// A whole reply with a Content-Length.
std::string plain_reply(int status, std::string_view body);
// The head of a reply of chunks, one chunk, and the last one.
std::string chunked_head();
std::string chunk(std::string_view body);
inline constexpr const char* kLastChunk = "0\r\n\r\n";

// A stream as OpenAI's completions: one event a text, then usage, then [DONE].
std::string completion_events(const std::vector<std::string>& texts, int prompt_tokens, int completion_tokens);

// As a reply in one chunk, one piece.
CannedServer::Reply streamed(const std::string& events);

}  // namespace tern::test
