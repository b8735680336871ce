// TLS: the same server behind a certificate, and what becomes of those who do not speak it.
#include "server/tls.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "server/running_server.h"
#include "server/test_certificate.h"

namespace tern {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::ip::tcp;
using boost::system::error_code;
using testing::HttpClient;
using testing::RunningServer;
using testing::sse_payloads;
using testing::TestCertificate;

class TlsClient {
 public:
  TlsClient(uint16_t port, const std::string& trusted) {
    context_.load_verify_file(trusted);
    stream_.emplace(io_, context_);
    stream_->set_verify_mode(asio::ssl::verify_peer);
    stream_->lowest_layer().connect({asio::ip::address_v4::loopback(), port});
    const timeval patience{20, 0};
    ::setsockopt(stream_->lowest_layer().native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    stream_->handshake(asio::ssl::stream_base::client);
  }
  void send(const std::string& bytes) { asio::write(*stream_, asio::buffer(bytes)); }
  void post(const std::string& body) {
    send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body);
  }
  // Up to and with the mark.
  std::string read_until(const std::string& mark) {
    size_t at = 0;
    while ((at = buffered_.find(mark)) == std::string::npos) {
      char bytes[4096];
      const size_t got = stream_->read_some(asio::buffer(bytes), error);
      if (error) return "";
      buffered_.append(bytes, got);
    }
    std::string out = buffered_.substr(0, at + mark.size());
    buffered_.erase(0, out.size());
    return out;
  }
  error_code error;

 private:
  asio::io_context io_;
  asio::ssl::context context_{asio::ssl::context::tls_client};
  std::optional<asio::ssl::stream<tcp::socket>> stream_;
  std::string buffered_;
};

ServerOptions options_with(const TestCertificate& certificate) {
  return {.tls_certificate_file = certificate.certificate_file, .tls_key_file = certificate.key_file};
}

const std::string kBody = R"({"prompt":[40,41],"max_tokens":8,"temperature":0,"ignore_eos":true,"stream":true})";

TEST(Tls, StreamsOverOneConnection) {
  const TestCertificate certificate;
  RunningServer server(options_with(certificate));
  EXPECT_EQ(server.http().address().substr(0, 8), "https://");
  TlsClient client(server.port(), certificate.certificate_file);
  std::string first;
  for (int i = 0; i < 3; ++i) {  // watching for a client that leaves ends cleanly between requests
    client.post(kBody);
    const std::string answer = client.read_until("data: [DONE]\n\n\r\n0\r\n\r\n");
    EXPECT_NE(answer.find("text/event-stream"), std::string::npos);
    const std::string events = answer.substr(answer.find("\"text\""), 20);
    if (i == 0) first = events;
    EXPECT_EQ(events, first);
  }
  client.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(client.read_until("{\"status\":\"ok\"}").find("200 OK"), std::string::npos);
  client.read_until("never");
  EXPECT_EQ(client.error, asio::error::eof);  // a goodbye, not a cut
}

TEST(Tls, ManyClientsAndOneThatLeaves) {
  const TestCertificate certificate;
  testing::FakeDevice device;
  testing::Gate gate;
  device.gate = &gate;
  RunningServer server(device, options_with(certificate));
  const testing::OpenAtEnd at_end(gate);
  TlsClient stays(server.port(), certificate.certificate_file);
  stays.post(R"({"prompt":[40],"max_tokens":400,"temperature":0,"ignore_eos":true,"stream":true})");
  {
    TlsClient leaves(server.port(), certificate.certificate_file);
    leaves.post(R"({"prompt":[40],"max_tokens":400,"temperature":0,"ignore_eos":true,"stream":true})");
    // No step before both are there: the one that stays must not have ended by then.
    const auto come_to = [&](int64_t wanted, bool with_waiting, int steps) {
      for (int i = 0; i < 5000; ++i) {
        const EngineStats stats = server.service().stats();
        if (stats.running + (with_waiting ? stats.waiting : 0) == wanted) return true;
        gate.allow(steps);
        std::this_thread::sleep_for(2ms);
      }
      return false;
    };
    ASSERT_TRUE(come_to(2, true, 0));
    ASSERT_TRUE(come_to(2, false, 1));
    gate.allow(20);
    leaves.read_until("data: ");
  }
  bool alone = false;
  for (int i = 0; i < 1000 && !alone; ++i) {
    gate.allow(1);
    std::this_thread::sleep_for(2ms);
    alone = server.service().stats().running == 1;
  }
  EXPECT_TRUE(alone);
  gate.open();
  EXPECT_NE(stays.read_until("[DONE]"), "");
}

TEST(Tls, PlainBytesAreNoHandshake) {
  const TestCertificate certificate;
  ServerOptions options = options_with(certificate);
  options.header_deadline = 150ms;
  RunningServer server(std::move(options));
  HttpClient plain(server.port());
  plain.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(plain.read().status, 0);
  HttpClient silent(server.port());
  EXPECT_TRUE(silent.closed());  // after the deadline
  TlsClient client(server.port(), certificate.certificate_file);
  client.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(client.read_until("ok").find("200"), std::string::npos);
}

TEST(Tls, ReadersOfLargeAnswersGetAllOfIt) {
  const TestCertificate certificate;
  testing::FakeDevice device;
  RunningServer server(device, options_with(certificate));
  TlsClient client(server.port(), certificate.certificate_file);
  client.post(
      R"({"prompt":[40],"n":4,"max_tokens":400,"ignore_eos":true,"temperature":0,"logprobs":20,"stream":true})");
  EXPECT_GT(client.read_until("[DONE]").size(), 500'000u);
}

std::string refusal(const std::string& certificate, const std::string& key) {
  try {
    const TlsContext tls(certificate, key);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(Tls, FilesAtFaultAreNamed) {
  const TestCertificate certificate, other;
  EXPECT_EQ(refusal(certificate.certificate_file, certificate.key_file), "");
  EXPECT_NE(refusal("/nowhere.crt", certificate.key_file).find("/nowhere.crt"), std::string::npos);
  EXPECT_NE(refusal(certificate.certificate_file, "/nowhere.key").find("/nowhere.key"), std::string::npos);
  EXPECT_NE(refusal(certificate.certificate_file, certificate.certificate_file), "");
  EXPECT_NE(refusal(certificate.certificate_file, other.key_file).find(other.key_file), std::string::npos);
}

}  // namespace
}  // namespace tern
