// SHA-256 of a stream of bytes, by OpenSSL. One owner, one thread at a time; a finished stream can begin anew.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace tern {

using Digest = std::array<uint8_t, 32>;

class Sha256 {
 public:
  Sha256();
  void update(std::span<const char> bytes);
  // Ends the stream; the next update() begins another.
  Digest digest();
  // The same in lower-case hexadecimal.
  std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  void begin();

  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string to_hex(std::span<const uint8_t> bytes);

}  // namespace tern
