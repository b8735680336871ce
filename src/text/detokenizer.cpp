#include "text/detokenizer.h"

#include <utility>

#include "text/utf8.h"

namespace tern {

std::string Detokenizer::push(int32_t id) {
  if (!keep_control_ && tokenizer_->is_control(id)) return {};
  const std::string bytes = std::exchange(pending_, {}) + tokenizer_->token_bytes(id);
  std::string out;
  for (size_t at = 0; at < bytes.size();) {
    const size_t valid = valid_utf8_length(bytes, at);
    out.append(bytes, at, valid);
    at += valid;
    if (at == bytes.size()) break;
    const CodePoint point = code_point_at(bytes, at);
    if (point.status == Utf8Status::kIncomplete) {
      pending_ = bytes.substr(at);
      break;
    }
    append_utf8(out, point.value);
    at += point.bytes;
  }
  return out;
}

std::string Detokenizer::finish() { return replace_invalid_utf8(std::exchange(pending_, {})); }

}  // namespace tern
