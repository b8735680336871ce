// Web pages of other origins: nothing is said unless asked for, and only to whom it may be said.
#include "server/cors.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "server/running_server.h"

namespace tern {
namespace {

using testing::HttpClient;
using testing::HttpResponse;
using testing::RunningServer;

TEST(Cors, Origins) {
  for (const char* good : {"*", "https://a.example", "http://localhost:3000"}) EXPECT_NO_THROW(check_origin(good));
  for (const char* bad : {"", "a.example", "https://", "https://a/b", "https://a\r\nX: y", "https://a b"}) {
    EXPECT_THROW(check_origin(bad), Error) << bad;
  }
}

HttpResponse preflight(uint16_t port, const std::string& origin) {
  HttpClient client(port);
  client.send("OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: x\r\nOrigin: " + origin +
              "\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, content-type"
              "\r\n\r\n");
  HttpResponse response = client.read_head();
  EXPECT_EQ(client.get("/health", "Origin: " + origin + "\r\n").status, 200);  // the connection goes on
  return response;
}

TEST(Cors, OffByDefault) {
  RunningServer server;
  const HttpResponse reply = HttpClient(server.port()).get("/health", "Origin: https://a.example\r\n");
  EXPECT_FALSE(reply.headers.contains("access-control-allow-origin"));
  HttpClient client(server.port());
  client.send(
      "OPTIONS /health HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n"
      "Access-Control-Request-Method: GET\r\n\r\n");
  EXPECT_FALSE(client.read_head().headers.contains("access-control-allow-origin"));
}

TEST(Cors, OnlyAllowedOrigins) {
  RunningServer server(ServerOptions{.api_keys = ApiKeys("key"), .allowed_origins = {"https://a.example"}});
  const HttpResponse allowed = preflight(server.port(), "https://a.example");
  EXPECT_EQ(allowed.status, 204);  // without a key: browsers send none
  EXPECT_EQ(allowed.headers.at("access-control-allow-origin"), "https://a.example");
  EXPECT_EQ(allowed.headers.at("access-control-allow-headers"), "authorization, content-type");
  EXPECT_NE(allowed.headers.at("access-control-allow-methods").find("POST"), std::string::npos);
  EXPECT_EQ(allowed.headers.at("vary"), "Origin");
  const HttpResponse other = preflight(server.port(), "https://b.example");
  EXPECT_FALSE(other.headers.contains("access-control-allow-origin"));
  EXPECT_FALSE(other.headers.contains("access-control-allow-methods"));

  HttpClient client(server.port());
  const HttpResponse refused = client.get("/v1/models", "Origin: https://a.example\r\n");
  EXPECT_EQ(refused.status, 401);  // and the page may read why
  EXPECT_EQ(refused.headers.at("access-control-allow-origin"), "https://a.example");
  const std::string body = R"({"prompt":[40],"max_tokens":2,"stream":true})";
  const HttpResponse stream = client.post("/v1/completions", body, "x-api-key: key\r\nOrigin: https://a.example\r\n");
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(stream.headers.at("access-control-allow-origin"), "https://a.example");
  EXPECT_NE(stream.headers.at("access-control-expose-headers").find("X-Request-Id"), std::string::npos);
}

TEST(Cors, Everyone) {
  RunningServer server(ServerOptions{.allowed_origins = {"*"}});
  EXPECT_EQ(preflight(server.port(), "https://b.example").headers.at("access-control-allow-origin"), "*");
}

}  // namespace
}  // namespace tern
