// The request that most tests of the server make: a completion of a given length, drawn without chance.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace tern::testing {

inline const std::string kPath = "/v1/completions";

inline std::string body(int64_t max_tokens, bool stream, nlohmann::json more = nlohmann::json::object()) {
  nlohmann::json request = {
      {"prompt", {40}}, {"max_tokens", max_tokens}, {"temperature", 0}, {"ignore_eos", true}, {"stream", stream}};
  request.update(more);
  return request.dump();
}

}  // namespace tern::testing
