// SHA-256 of a stream of bytes, by OpenSSL. One owner, one thread at a time; a finished stream can begin anew.
//
// By its function for this one hash. The way through its table of algorithms loads all of them first: 2 MiB of program
// and heap, which every start would pay for the names of KV blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct SHA256state_st;

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
    void operator()(SHA256state_st* state) const;
  };
  void begin();

  std::unique_ptr<SHA256state_st, Free> state_;
};

std::string to_hex(std::span<const uint8_t> bytes);

}  // namespace tern
