#include "server/api_error.h"

#include <new>
#include <nlohmann/json.hpp>

#include "server/log.h"

namespace tern {
namespace {

using nlohmann::json;

std::string_view type_of(int status) {
  if (status == 429) return "rate_limit_error";
  if (status == 401) return "authentication_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

json null_or(const std::string& text) { return text.empty() ? json() : json(text); }

void report(const std::string& request_id, std::string_view what) {
  LogLine(LogLevel::kError, "request failed").add("id", request_id).add("reason", printable(what, 500));
}

}  // namespace

std::string ApiError::json() const {
  const nlohmann::json body = {
      {"error",
       {{"message", what()}, {"type", type_of(status_)}, {"param", null_or(param_)}, {"code", null_or(code_)}}}};
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

HttpReply ApiError::reply() const {
  HttpReply reply{.status = status_, .body = json(), .error = code_};
  if (status_ == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status_ == 429 || status_ == 503) reply.headers.emplace_back("Retry-After", status_ == 429 ? "1" : "5");
  return reply;
}

void refuse(const std::string& param, const std::string& message, const std::string& code) {
  throw ApiError(400, message, code, param);
}

ApiError stopping_error() { return ApiError(503, "the server is stopping", "shutting_down"); }

ApiError loading_error() { return ApiError(503, "the model is loading", "loading"); }

ApiError queue_full_error() { return ApiError(429, "the queue is full, please try again in a moment", "queue_full"); }

ApiError api_error(std::exception_ptr exception, const std::string& request_id) {
  try {
    std::rethrow_exception(exception);
  } catch (const ApiError& error) {
    return error;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kBadInput) return ApiError(400, error.what());
    report(request_id, error.what());
    return ApiError(500, "the request failed", "internal_error");
  } catch (const std::bad_alloc&) {
    report(request_id, "the host's memory is exhausted");
    return ApiError(503, "the server has no memory for this request", "out_of_memory");
  } catch (const std::exception& error) {
    report(request_id, error.what());
  } catch (...) {
    report(request_id, "an unknown exception");
  }
  return ApiError(500, "the request failed", "internal_error");
}

ApiError api_error(const TextEvent& event, const std::string& request_id) {
  if (event.finish == FinishReason::kCancelled) return stopping_error();
  if (!event.error)
    return ApiError(500, "the model's numbers were not finite, so there is no next token", "not_finite");
  return api_error(std::make_exception_ptr(*event.error), request_id);
}

}  // namespace tern
