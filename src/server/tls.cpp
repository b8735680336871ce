#include "server/tls.h"

#include <openssl/ssl.h>

#include "core/error.h"

namespace tern {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

[[noreturn]] void refuse_file(const std::string& file, const char* what, const error_code& ec) {
  bad_input("[server] " + printable(file) + " is not " + what + ": " + printable(ec.message()));
}

// HTTP/1.1 is what the server speaks; a client that offers others too is told so.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_bytes, const unsigned char* offered,
                    unsigned offered_bytes, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_bytes, kHttp11, sizeof kHttp11 - 1, offered, offered_bytes) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

TlsContext::TlsContext(const std::string& certificate_file, const std::string& key_file)
    : context(ssl::context::tls_server) {
  error_code ec;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);  // 34 kB less for each idle connection
  SSL_CTX_set_alpn_select_cb(context.native_handle(), choose_protocol, nullptr);
  // Without this OpenSSL asks the terminal for a passphrase.
  context.set_password_callback([](size_t, ssl::context::password_purpose) { return std::string(); }, ec);
  context.use_certificate_chain_file(certificate_file, ec);
  if (ec) refuse_file(certificate_file, "a certificate in PEM", ec);
  context.use_private_key_file(key_file, ssl::context::pem, ec);
  if (ec) refuse_file(key_file, "the certificate's key in PEM without a passphrase", ec);
  if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
    bad_input("[server] " + printable(key_file) + " is not the key of " + printable(certificate_file));
  }
}

}  // namespace tern
