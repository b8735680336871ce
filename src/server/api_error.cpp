#include "server/api_error.h"

#include <array>
#include <new>
#include <nlohmann/json.hpp>

#include "server/log.h"

namespace tern {
namespace {

using nlohmann::json;

constexpr std::array kCodes{
    ErrorCodeRow{400, "invalid_json", "the body is no JSON object in UTF-8, nests too deep or holds too much"},
    ErrorCodeRow{400, "missing_field", "a field that is required is absent or null"},
    ErrorCodeRow{400, "invalid_type", "a field's value is of another type"},
    ErrorCodeRow{400, "invalid_value", "a field's value is outside its range"},
    ErrorCodeRow{400, "unsupported_value", "a value that tern cannot honour, and does not ignore"},
    ErrorCodeRow{400, "conflicting_fields", "fields that need or exclude each other"},
    ErrorCodeRow{400, "too_many_choices", "prompts times n"},
    ErrorCodeRow{400, "empty_prompt", "a prompt without a token"},
    ErrorCodeRow{400, "context_length_exceeded", "the prompt and one token do not fit; the message has both numbers"},
    ErrorCodeRow{400, "token_out_of_vocabulary", "a token id that the model does not have"},
    ErrorCodeRow{400, "no_chat_template", "the model takes no conversations"},
    ErrorCodeRow{400, "no_tokenizer", "the model's file has no tokenizer: it takes token ids only"},
    ErrorCodeRow{400, "template_refused", "the chat template does not take this conversation"},
    ErrorCodeRow{400, "bad_http", "the bytes are not an HTTP/1.1 request; the connection is closed"},
    ErrorCodeRow{401, "invalid_api_key", "the API key is missing or wrong"},
    ErrorCodeRow{404, "unknown_route", "no such path"},
    ErrorCodeRow{404, "model_not_found", "no such model"},
    ErrorCodeRow{405, "method_not_allowed", "the path takes other methods: see the header Allow"},
    ErrorCodeRow{408, "timeout", "the request's bytes did not arrive in time"},
    ErrorCodeRow{408, "deadline_exceeded", "the request's own timeout passed; official clients do not retry it"},
    ErrorCodeRow{413, "body_too_large", "see Limits"},
    ErrorCodeRow{429, "queue_full", "try again after Retry-After seconds"},
    ErrorCodeRow{431, "header_too_large", "see Limits"},
    ErrorCodeRow{500, "not_finite", "the model's numbers were not finite: no next token"},
    ErrorCodeRow{500, "internal_error", "the server's log has the reason under the request's id"},
    ErrorCodeRow{503, "loading", "the model is loading"},
    ErrorCodeRow{503, "shutting_down", "the server is stopping"},
    ErrorCodeRow{503, "out_of_memory", "no memory for this request"},
    ErrorCodeRow{503, "overloaded", "too many request bodies at once"},
    ErrorCodeRow{503, "too_many_connections", "no connection left"},
};

std::string_view type_of(int status) {
  if (status == 408) return "timeout_error";
  if (status == 429) return "rate_limit_error";
  if (status == 401) return "authentication_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

json null_or(const std::string& text) { return text.empty() ? json() : json(text); }

void report(const std::string& request_id, std::string_view what) {
  LogLine(LogLevel::kError, "request failed").add("id", request_id).add("reason", printable(what, 500));
}

}  // namespace

std::string public_text(const Error& error) {
  const std::string_view text = error.what();
  const size_t end = text.starts_with('[') ? text.find("] ") : std::string_view::npos;
  return std::string(end == std::string_view::npos ? text : text.substr(end + 2));
}

std::string ApiError::json() const {
  const nlohmann::json body = {
      {"error",
       {{"message", what()}, {"type", type_of(status_)}, {"param", null_or(param_)}, {"code", null_or(code_)}}}};
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

HttpReply ApiError::reply() const {
  HttpReply reply{.status = status_, .body = json(), .headers = headers_, .error = code_};
  if (status_ == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status_ == 429 || status_ == 503) reply.headers.emplace_back("Retry-After", status_ == 429 ? "1" : "5");
  return reply;
}

std::span<const ErrorCodeRow> error_codes() { return kCodes; }

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
    if (error.code() == ErrorCode::kBadInput) return ApiError(400, public_text(error), "invalid_value");
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
  if (event.finish == FinishReason::kTimeout) {
    return ApiError(408, "the request's own 'timeout' passed before the answer was done", "deadline_exceeded",
                    "timeout")
        .with_header("x-should-retry", "false");
  }
  if (!event.error)
    return ApiError(500, "the model's numbers were not finite, so there is no next token", "not_finite");
  return api_error(std::make_exception_ptr(*event.error), request_id);
}

}  // namespace tern
