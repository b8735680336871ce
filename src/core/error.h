// The two ways in which something goes wrong for good.
//
// tern::Error: an operation cannot go on (bad file, unsupported model, no memory). Thrown; caught in main, in the
// request handler and in the engine thread's loop, and nowhere else except to add context. The message is one line that
// names the value: "[gguf] model.gguf: tensor count 4294967296 exceeds the file". TERN_CHECK: a bug in tern itself.
// Always on, prints and terminates; never reachable from input.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace tern {

// The values are the process's exit codes.
enum class ErrorCode : int {
  kFailed = 1,    // the operation failed for a reason outside its input
  kBadInput = 2,  // a file, flag, request or prompt is at fault
  kResource = 3,  // a device or memory is missing or exhausted
  kDevice = 4,    // a device failed while it worked: nothing it has can be trusted any more
};

std::string_view name_of(ErrorCode code);  // "bad_input"

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

[[noreturn]] void fail(ErrorCode code, std::string message);

// Shorthand for fail(ErrorCode::kBadInput, ...), by far the most frequent.
[[noreturn]] void bad_input(std::string message);

[[noreturn]] void check_failed(const char* file, int line, const char* expression, std::string_view values);

// A string of any bytes made fit for a one-line message: control bytes escaped, cut after `max_bytes`.
std::string printable(std::string_view text, size_t max_bytes = 80);

}  // namespace tern

#define TERN_CHECK(expression, ...)                                                      \
  do {                                                                                   \
    if (!(expression)) [[unlikely]] {                                                    \
      ::tern::check_failed(__FILE__, __LINE__, #expression, ::std::string{__VA_ARGS__}); \
    }                                                                                    \
  } while (false)
