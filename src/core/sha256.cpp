#include "core/sha256.h"

// Deprecated since OpenSSL 3.0 in favour of the table of algorithms, which is what is not wanted here.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "core/error.h"

namespace tern {
namespace {

void require(int done) {
  if (done != 1) fail(ErrorCode::kResource, "[sha256] libcrypto failed");
}

}  // namespace

void Sha256::Free::operator()(SHA256state_st* state) const { delete state; }

Sha256::Sha256() : state_(new SHA256state_st) { begin(); }

void Sha256::begin() { require(SHA256_Init(state_.get())); }

void Sha256::update(std::span<const char> bytes) { require(SHA256_Update(state_.get(), bytes.data(), bytes.size())); }

Digest Sha256::digest() {
  Digest digest{};
  require(SHA256_Final(digest.data(), state_.get()));
  begin();
  return digest;
}

std::string Sha256::hex() { return to_hex(digest()); }

std::string to_hex(std::span<const uint8_t> bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  return out;
}

}  // namespace tern
