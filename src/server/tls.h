// TLS by OpenSSL: the server's certificate and key, read once at the start.
//
// Owned by the HttpServer; the thread that serves the sockets uses it. TLS 1.2 and 1.3, no client certificates.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <string>

namespace tern {

struct TlsContext {
  // PEM files: the certificate with its chain, and its key without a passphrase. Throws a bad-input line naming the
  // file at fault.
  TlsContext(const std::string& certificate_file, const std::string& key_file);

  boost::asio::ssl::context context;
};

}  // namespace tern
