#include "core/sha256.h"

#include <openssl/evp.h>

#include "core/error.h"

namespace tern {
namespace {

// Fetched once: an implicit fetch at every start costs more than hashing a block of tokens.
const EVP_MD* algorithm() {
  static EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched;
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || algorithm() == nullptr) fail(ErrorCode::kResource, "[sha256] libcrypto offers no SHA-256");
  begin();
}

void Sha256::begin() {
  if (EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr) != 1) {
    fail(ErrorCode::kResource, "[sha256] libcrypto failed");
  }
}

void Sha256::update(std::span<const char> bytes) {
  if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) {
    fail(ErrorCode::kResource, "[sha256] libcrypto failed");
  }
}

Digest Sha256::digest() {
  Digest digest{};
  if (EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) != 1) {
    fail(ErrorCode::kResource, "[sha256] libcrypto failed");
  }
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
