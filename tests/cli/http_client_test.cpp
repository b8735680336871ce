// The client against a server that sends what it is told, in any pieces.
#include "cli/http_client.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "canned_server.h"
#include "core/error.h"

namespace tern {
namespace {

namespace asio = boost::asio;
using test::CannedServer;

struct Got {
  HttpOutcome outcome;
  std::string body;
};

// `count` exchanges, one after the other, on one client.
std::vector<Got> exchange(uint16_t port, size_t count = 1,
                          std::chrono::milliseconds silence = std::chrono::seconds(10)) {
  asio::io_context io(1);
  HttpAddress address;
  address.port = port;
  HttpClient client(io, address, resolve(io, address), silence);
  std::vector<Got> out(count);
  const HttpCall call{.path = "/x", .body = "{}"};
  const auto all = [&]() -> asio::awaitable<void> {
    for (Got& got : out) {
      const HttpClient::Body on_body = [&](int, std::string_view bytes) { got.body.append(bytes); };
      got.outcome = co_await client.exchange(call, on_body);
    }
  };
  asio::co_spawn(io, all, asio::detached);
  io.run();
  return out;
}

std::vector<std::string> bytes_of(const std::string& text) {
  std::vector<std::string> out;
  for (const char c : text) out.emplace_back(1, c);
  return out;
}

TEST(HttpAddress, ReadsUrls) {
  const HttpAddress plain = HttpAddress::parse("http://127.0.0.1:8000");
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, 8000);
  EXPECT_EQ(plain.prefix, "");
  const HttpAddress bare = HttpAddress::parse("example/a/b//");
  EXPECT_EQ(bare.host, "example");
  EXPECT_EQ(bare.port, 80);
  EXPECT_EQ(bare.prefix, "/a/b");
  const HttpAddress six = HttpAddress::parse("http://[::1]:9/v1");
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.port, 9);
  EXPECT_EQ(six.authority(), "[::1]:9");
}

TEST(HttpAddress, RefusesWhatIsNone) {
  for (const char* url : {"https://x", "http://", "http://x:0", "http://x:70000", "http://x:8a", ":80", "http://x:"}) {
    EXPECT_THROW(HttpAddress::parse(url), Error) << url;
  }
}

TEST(HttpClient, ReadsChunksByteByByte) {
  const std::string wire =
      test::chunked_head() + test::chunk("data: one\n\n") + test::chunk("data: two\n\n") + test::kLastChunk;
  CannedServer server([&](const std::string&) { return CannedServer::Reply{bytes_of(wire)}; });
  const Got got = exchange(server.port())[0];
  EXPECT_EQ(got.outcome.error, "");
  EXPECT_EQ(got.outcome.status, 200);
  EXPECT_EQ(got.body, "data: one\n\ndata: two\n\n");
}

TEST(HttpClient, HandsOverAPieceBeforeTheNextArrives) {
  CannedServer server([&](const std::string&) {
    return CannedServer::Reply{
        {test::chunked_head(), test::chunk("one"), test::chunk("two"), test::kLastChunk}, false, 30};
  });
  asio::io_context io(1);
  HttpAddress address;
  address.port = server.port();
  HttpClient client(io, address, resolve(io, address), std::chrono::seconds(10));
  std::vector<std::string> pieces;
  const HttpCall call{.path = "/x", .body = "{}"};
  const HttpClient::Body on_body = [&](int, std::string_view bytes) { pieces.emplace_back(bytes); };
  const auto once = [&]() -> asio::awaitable<void> { co_await client.exchange(call, on_body); };
  asio::co_spawn(io, once, asio::detached);
  io.run();
  EXPECT_EQ(pieces, (std::vector<std::string>{"one", "two"}));
}

TEST(HttpClient, SendsWhatIsAsked) {
  CannedServer server([&](const std::string&) { return CannedServer::Reply{{test::plain_reply(200, "ok")}}; });
  EXPECT_EQ(exchange(server.port())[0].body, "ok");
  const std::string request = server.requests().at(0);
  EXPECT_EQ(request.rfind("POST /x HTTP/1.1\r\n", 0), 0u) << request;
  EXPECT_NE(request.find("\r\nContent-Type: application/json\r\n"), std::string::npos) << request;
  EXPECT_EQ(request.substr(request.size() - 2), "{}");
}

TEST(HttpClient, KeepsTheConnection) {
  CannedServer server([&](const std::string&) { return test::streamed("data: x\n\n"); });
  for (const Got& got : exchange(server.port(), 5)) EXPECT_TRUE(got.outcome.ok()) << got.outcome.error;
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpClient, OpensAConnectionAgainThatTheServerClosed) {
  CannedServer server([&](const std::string&) { return CannedServer::Reply{{test::plain_reply(200, "ok")}, true}; });
  for (const Got& got : exchange(server.port(), 3)) EXPECT_TRUE(got.outcome.ok()) << got.outcome.error;
  EXPECT_EQ(server.connections(), 3);
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST(HttpClient, ReadsABodyThatEndsWithTheConnection) {
  CannedServer server(
      [&](const std::string&) { return CannedServer::Reply{{"HTTP/1.1 200 OK\r\n\r\nall of", " it"}, true}; });
  const Got got = exchange(server.port())[0];
  EXPECT_EQ(got.outcome.error, "");
  EXPECT_EQ(got.body, "all of it");
}

TEST(HttpClient, TellsARefusal) {
  CannedServer server([&](const std::string&) { return CannedServer::Reply{{test::plain_reply(429, "busy")}}; });
  const Got got = exchange(server.port())[0];
  EXPECT_EQ(got.outcome.status, 429);
  EXPECT_EQ(got.outcome.error, "");
  EXPECT_FALSE(got.outcome.ok());
  EXPECT_EQ(got.body, "busy");
}

TEST(HttpClient, TellsADisconnectionAnywhere) {
  const std::string wire = test::chunked_head() + test::chunk("data: one\n\n") + test::kLastChunk;
  for (size_t bytes = 0; bytes < wire.size(); ++bytes) {
    CannedServer server([&](const std::string&) { return CannedServer::Reply{{wire.substr(0, bytes)}, true}; });
    const Got got = exchange(server.port())[0];
    ASSERT_NE(got.outcome.error, "") << bytes;
    ASSERT_EQ(server.requests().size(), 1u) << "sent again, though the connection was new";
  }
}

TEST(HttpClient, TellsSilence) {
  CannedServer server([&](const std::string&) { return CannedServer::Reply{{test::chunked_head()}}; });
  const Got got = exchange(server.port(), 1, std::chrono::milliseconds(60))[0];
  EXPECT_EQ(got.outcome.error, "reading: nothing for 0.06 s");
}

TEST(HttpClient, TellsWhatIsNoHttp) {
  CannedServer server([&](const std::string&) { return CannedServer::Reply{{"SSH-2.0-x\r\n\r\n"}, true}; });
  const Got got = exchange(server.port())[0];
  EXPECT_EQ(got.outcome.status, 0);
  EXPECT_NE(got.outcome.error, "");
}

TEST(HttpClient, TellsThatNobodyListens) {
  uint16_t port = 0;
  {
    port = CannedServer([](const std::string&) { return CannedServer::Reply{}; }).port();
  }
  const Got got = exchange(port)[0];
  EXPECT_EQ(got.outcome.error, "connecting: Connection refused");
}

}  // namespace
}  // namespace tern
