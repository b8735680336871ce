// A refusal in OpenAI's shape: {"error": {"message", "type", "param", "code"}} with its HTTP status.
//
// Thrown by what reads requests, caught by the router, which turns every other exception into one too. Messages hold no
// path, address or internal name. Values, any thread.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/exchange.h"

namespace tern {

class ApiError : public Error {
 public:
  ApiError(int status, const std::string& message, std::string code = "", std::string param = "")
      : Error(ErrorCode::kBadInput, message), status_(status), code_(std::move(code)), param_(std::move(param)) {}

  int status() const { return status_; }
  const std::string& code() const { return code_; }
  const std::string& param() const { return param_; }
  std::string json() const;
  HttpReply reply() const;
  ApiError&& with_header(std::string name, std::string value) && {
    headers_.emplace_back(std::move(name), std::move(value));
    return std::move(*this);
  }

 private:
  int status_;
  std::string code_, param_;
  std::vector<std::pair<std::string, std::string>> headers_;
};

// Every code that a reply may carry, with the status it comes with.
struct ErrorCodeRow {
  int status;
  std::string_view code, when;
};
std::span<const ErrorCodeRow> error_codes();

// Throws a 400 that names the field.
[[noreturn]] void refuse(const std::string& param, const std::string& message,
                         const std::string& code = "invalid_value");

// A bad-input line without the part of tern that it begins with: "[jinja] line 3: ..." -> "line 3: ...".
std::string public_text(const Error& error);

// The exception as the client may see it. What is not the client's fault is printed here and described no further.
ApiError api_error(std::exception_ptr exception, const std::string& request_id);

// An event that ends a stream without an answer.
ApiError api_error(const TextEvent& event, const std::string& request_id);

ApiError loading_error();
ApiError stopping_error();
ApiError queue_full_error();

}  // namespace tern
