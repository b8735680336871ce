// libFuzzer: any bytes as tokenizer.json make a tokenizer or are refused with a bad-input error; one that is made takes
// any text, gives ids of its vocabulary, and decodes them. The text is what follows the first NUL.
// Run with -malloc_limit_mb=256: a larger allocation is a finding.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "text/hf/build.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), size);
  const std::string_view json = input.substr(0, end);
  const std::string_view text = end < size ? input.substr(end + 1) : "Hello, w\u00f6rld! <s>  123\xff";
  try {
    const auto file = tern::read_tokenizer_file(std::as_bytes(std::span(json.data(), json.size())), "input");
    const tern::Tokenizer tokenizer(tern::hf::tokenizer_parts(file, {}));
    const auto ids = tokenizer.encode(text);
    for (const int32_t id : ids) {
      if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
    }
    tokenizer.decode(ids, true);
    tokenizer.encode_marked(tern::MarkedText(std::string(text), false), false);
  } catch (const tern::Error& error) {
    if (error.code() != tern::ErrorCode::kBadInput) std::abort();
  }
  return 0;
}
