#include "canned_server.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace tern::test {
namespace {

bool fill(int socket, std::string& buffered) {
  char bytes[4096];
  const ssize_t got = ::recv(socket, bytes, sizeof bytes, 0);
  if (got > 0) buffered.append(bytes, static_cast<size_t>(got));
  return got > 0;
}

// One request, taken from the front of `buffered`; empty when the client has gone.
std::string read_request(int socket, std::string& buffered) {
  size_t head = 0;
  while ((head = buffered.find("\r\n\r\n")) == std::string::npos) {
    if (!fill(socket, buffered)) return "";
  }
  const size_t length = buffered.find("Content-Length: ");
  size_t bytes = head + 4;
  if (length < head) bytes += std::strtoul(buffered.c_str() + length + 16, nullptr, 10);
  while (buffered.size() < bytes) {
    if (!fill(socket, buffered)) return "";
  }
  std::string out = buffered.substr(0, bytes);
  buffered.erase(0, bytes);
  return out;
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

CannedServer::CannedServer(std::function<Reply(const std::string&)> answer)
    : answer_(std::move(answer)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

CannedServer::~CannedServer() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  for (std::thread& thread : threads_) thread.join();
  for (const int socket : sockets_) ::close(socket);
}

void CannedServer::accept_all() {
  for (int socket = 0; (socket = ::accept(listener_, nullptr, nullptr)) >= 0;) {
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ++connections_;
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

void CannedServer::serve(int socket) {
  std::string buffered;
  for (std::string request; !(request = read_request(socket, buffered)).empty();) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const Reply reply = answer_(request);
    for (const std::string& piece : reply.pieces) {
      if (reply.pause_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(reply.pause_ms));
      if (!send_all(socket, piece)) return;
    }
    if (reply.closes) break;
  }
  ::shutdown(socket, SHUT_RDWR);
}

std::vector<std::string> CannedServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::string plain_reply(int status, std::string_view body) {
  return fmt::format("HTTP/1.1 {} Status\r\nContent-Length: {}\r\n\r\n{}", status, body.size(), body);
}

std::string chunked_head() {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
}

std::string chunk(std::string_view body) { return fmt::format("{:x}\r\n{}\r\n", body.size(), body); }

std::string completion_events(const std::vector<std::string>& texts, int prompt_tokens, int completion_tokens) {
  using nlohmann::json;
  std::string out;
  for (size_t i = 0; i < texts.size(); ++i) {
    const json choice = {{"text", texts[i]}, {"finish_reason", i + 1 == texts.size() ? json("length") : json(nullptr)}};
    out += "data: " + json{{"choices", json::array({choice})}}.dump() + "\n\n";
  }
  const json usage = {{"prompt_tokens", prompt_tokens}, {"completion_tokens", completion_tokens}};
  out += "data: " + json{{"choices", json::array()}, {"usage", usage}}.dump() + "\n\n";
  return out + "data: [DONE]\n\n";
}

CannedServer::Reply streamed(const std::string& events) { return {{chunked_head() + chunk(events) + kLastChunk}}; }

}  // namespace tern::test
