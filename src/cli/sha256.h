// SHA-256 of a stream of bytes. One owner, one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

struct evp_md_ctx_st;

namespace tern {

class Sha256 {
 public:
  Sha256();
  void update(std::span<const char> bytes);
  // Lower-case hexadecimal; ends the stream.
  std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace tern
