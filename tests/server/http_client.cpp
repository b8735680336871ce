#include "server/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace tern::testing {

HttpClient::HttpClient(uint16_t port, int receive_buffer) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_buffer > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  const timeval patience{20, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect");
  }
}

HttpClient::~HttpClient() { ::close(socket_); }

bool HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

HttpResponse HttpClient::get(const std::string& path, const std::string& headers) {
  send("GET " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n");
  return read();
}

void HttpClient::start_post(const std::string& path, const std::string& body, const std::string& headers) {
  send("POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n" + headers +
       "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

HttpResponse HttpClient::post(const std::string& path, const std::string& body, const std::string& headers) {
  start_post(path, body, headers);
  return read();
}

bool HttpClient::fill() {
  char bytes[4096];
  const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
  if (got > 0) buffered_.append(bytes, static_cast<size_t>(got));
  return got > 0;
}

std::string HttpClient::read_until(std::string_view mark) {
  size_t at = 0;
  while ((at = buffered_.find(mark)) == std::string::npos) {
    if (!fill()) return "";
  }
  std::string out = buffered_.substr(0, at + mark.size());
  buffered_.erase(0, out.size());
  return out;
}

HttpResponse HttpClient::read_head() {
  HttpResponse response;
  const std::string head = read_until("\r\n\r\n");
  if (head.size() < 12) return response;
  response.status = std::atoi(head.c_str() + 9);
  for (size_t at = head.find("\r\n") + 2; at < head.size();) {
    const size_t end = head.find("\r\n", at);
    const size_t colon = head.find(": ", at);
    if (colon < end) {
      std::string name = head.substr(at, colon - at);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      response.headers[name] = head.substr(colon + 2, end - colon - 2);
    }
    at = end + 2;
  }
  return response;
}

std::optional<std::string> HttpClient::read_chunk() {
  const std::string line = read_until("\r\n");
  if (line.empty()) return std::nullopt;
  const size_t bytes = std::strtoul(line.c_str(), nullptr, 16);
  while (buffered_.size() < bytes + 2) {
    if (!fill()) return std::nullopt;
  }
  std::string chunk = buffered_.substr(0, bytes);
  buffered_.erase(0, bytes + 2);
  if (bytes == 0) return std::nullopt;
  return chunk;
}

HttpResponse HttpClient::read() {
  HttpResponse response = read_head();
  if (response.status == 100) response = read_head();
  if (const auto length = response.headers.find("content-length"); length != response.headers.end()) {
    const size_t bytes = std::stoul(length->second);
    while (buffered_.size() < bytes) {
      if (!fill()) return {};
    }
    response.body = buffered_.substr(0, bytes);
    buffered_.erase(0, bytes);
  } else if (response.headers.contains("transfer-encoding")) {
    while (const auto chunk = read_chunk()) response.body += *chunk;
  } else {
    while (fill()) {
    }
    response.body = std::exchange(buffered_, "");
  }
  return response;
}

bool HttpClient::closed() {
  char byte;
  return buffered_.empty() && ::recv(socket_, &byte, 1, 0) == 0;
}

void HttpClient::shut_down() { ::shutdown(socket_, SHUT_RDWR); }

std::vector<std::string> sse_payloads(std::string_view body) {
  std::vector<std::string> out;
  while (!body.empty()) {
    const size_t end = body.find("\n\n");
    const std::string_view event = body.substr(0, end);
    if (event.substr(0, 6) == "data: ") out.emplace_back(event.substr(6));
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 2);
  }
  return out;
}

}  // namespace tern::testing
