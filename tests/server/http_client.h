// A client for tests: sends any bytes, reads replies as whole or chunk by chunk, and can stop or leave at any point.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::testing {

struct HttpResponse {
  int status = 0;                              // 0: the connection ended before a whole reply
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class HttpClient {
 public:
  // `receive_buffer` > 0: of the socket, so that a test can stop reading and be noticed.
  explicit HttpClient(uint16_t port, int receive_buffer = 0);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  bool send(std::string_view bytes);
  HttpResponse get(const std::string& path, const std::string& headers = "");
  HttpResponse post(const std::string& path, const std::string& body, const std::string& headers = "");
  void start_post(const std::string& path, const std::string& body, const std::string& headers = "");

  HttpResponse read();                      // head and whole body
  HttpResponse read_head();                 // then:
  std::optional<std::string> read_chunk();  // nothing after the last one
  bool closed();                            // the server has ended the connection
  void shut_down();                         // this side is gone, at once
  int descriptor() const { return socket_; }

 private:
  bool fill();
  std::string read_until(std::string_view mark);

  int socket_;
  std::string buffered_;
};

// The payloads of a stream's events.
std::vector<std::string> sse_payloads(std::string_view body);

}  // namespace tern::testing
