// libFuzzer: any vocabulary, as the metadata of a GGUF file give it, becomes a tokenizer or is refused with a bad-input
// error; a tokenizer makes tokens of any text and text of any tokens.
//
// An input is sections with a zero byte between them; the items of one end in 0x1F:
//   keys       tokenizer.ggml.<name>=value: a number or a text
//   tokens     the type as a digit (1 to 6), then the piece; "*" stands for all 256 bytes in the way of the model
//   merges     "left right"
//   scores     numbers; more follow by themselves until each token has one, unless "!" ends them
//   text       to encode
// Run with -malloc_limit_mb=256: a larger allocation is a finding.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "formats/metadata.h"
#include "text/byte_level.h"
#include "text/detokenizer.h"
#include "text/sentencepiece_encoder.h"
#include "text/tokenizer.h"

namespace {

using tern::Metadata;
using tern::MetadataArray;
using tern::MetadataValue;
using tern::Tokenizer;

constexpr char kItemEnd = '\x1f';
constexpr int64_t kControl = 3;

// Cuts what is before the next `end` from the front of `rest`.
std::string_view next(std::string_view& rest, char end) {
  const size_t at = rest.find(end);
  const std::string_view item = rest.substr(0, at);
  rest = at == rest.npos ? std::string_view() : rest.substr(at + 1);
  return item;
}

struct Input {
  Metadata metadata{"[gguf] input"};
  std::deque<std::string> made;  // pieces that the input does not spell out
  std::string_view text;
  int64_t unknown = -1;
  std::vector<int64_t> types;
  bool every_byte = false;
  bool all_normal = true;
};

void read_keys(std::string_view section, Input& input) {
  while (!section.empty()) {
    std::string_view value = next(section, kItemEnd);
    const std::string name = "tokenizer.ggml." + std::string(next(value, '='));
    char* end = nullptr;
    const std::string number(value);
    const long long integer = std::strtoll(number.c_str(), &end, 10);
    if (value == "true" || value == "false") {
      input.metadata.set(name, {value == "true"});
    } else if (!value.empty() && end == number.c_str() + number.size()) {
      input.metadata.set(name, {int64_t{integer}});
    } else {
      input.metadata.set(name, {value});
    }
  }
}

MetadataValue list(MetadataArray array, size_t size) {
  array.size = size;
  return {std::move(array)};
}

void read_tokens(std::string_view section, Input& input) {
  MetadataArray tokens, types;
  const bool byte_level = input.metadata.has("tokenizer.ggml.model") &&
                          std::get_if<std::string_view>(&input.metadata.find("tokenizer.ggml.model")->value) &&
                          input.metadata.string("tokenizer.ggml.model") == "gpt2";
  while (!section.empty()) {
    std::string_view item = next(section, kItemEnd);
    if (item == "*") {
      for (int byte = 0; byte < 256; ++byte) {
        const auto value = static_cast<uint8_t>(byte);
        input.made.emplace_back(byte_level ? std::string(tern::byte_level_character(value))
                                           : std::string(tern::piece_of_byte(value)));
        tokens.strings.push_back(input.made.back());
        types.integers.push_back(byte_level ? 1 : 6);
      }
      input.every_byte = true;
      continue;
    }
    const int64_t type = item.empty() ? 1 : item[0] - '0';
    input.all_normal &= type == 1;
    types.integers.push_back(type);
    tokens.strings.push_back(item.substr(item.empty() ? 0 : 1));
  }
  input.types = types.integers;
  const size_t size = tokens.strings.size();
  input.metadata.set("tokenizer.ggml.tokens", list(std::move(tokens), size));
  input.metadata.set("tokenizer.ggml.token_type", list(std::move(types), size));
}

void read_merges(std::string_view section, Input& input) {
  MetadataArray merges;
  while (!section.empty()) merges.strings.push_back(next(section, kItemEnd));
  const size_t size = merges.strings.size();
  input.metadata.set("tokenizer.ggml.merges", list(std::move(merges), size));
}

void read_scores(std::string_view section, Input& input) {
  MetadataArray scores;
  const size_t tokens = input.metadata.array_size("tokenizer.ggml.tokens");
  bool as_is = false;
  while (!section.empty()) {
    const std::string item(next(section, kItemEnd));
    if (item == "!") {
      as_is = true;
      break;
    }
    scores.floats.push_back(std::strtod(item.c_str(), nullptr));
  }
  while (!as_is && scores.floats.size() < tokens) scores.floats.push_back(-static_cast<double>(scores.floats.size()));
  if (!as_is) scores.floats.resize(tokens);
  const size_t size = scores.floats.size();
  input.metadata.set("tokenizer.ggml.scores", list(std::move(scores), size));
}

void check(bool holds) {
  if (!holds) std::abort();
}

void check_ids(const std::vector<int32_t>& ids, const Tokenizer& tokenizer) {
  for (const int32_t id : ids) check(id >= 0 && id < tokenizer.vocab_size());
}

// Hostile ids are what the bytes of the text say.
void decode_anything(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids{-1, INT32_MIN, INT32_MAX, tokenizer.vocab_size()};
  for (const char byte : text) ids.push_back(static_cast<int8_t>(byte));
  tokenizer.decode(ids);
  for (const int32_t id : ids) {
    tokenizer.piece(id);
    tokenizer.token_bytes(id);
    tokenizer.is_end(id);
  }
}

void use(const Tokenizer& tokenizer, const Input& input) {
  const auto ids = tokenizer.encode(input.text);
  check_ids(ids, tokenizer);
  tokenizer.decode(ids, true);
  tern::MarkedText marked;
  marked.text = input.text;
  for (size_t i = 0; i < input.text.size(); ++i) marked.trusted.push_back(static_cast<char>(i % 7 != 6));
  check_ids(tokenizer.encode_marked(marked, true), tokenizer);
  const auto plain = tokenizer.encode(input.text, {.add_special = false, .parse_special = false});
  check_ids(plain, tokenizer);
  // Text that nobody vouches for does not become a control token.
  marked.trusted.assign(marked.trusted.size(), 0);
  for (const auto& untrusted : {plain, tokenizer.encode_marked(marked, false)}) {
    for (const int32_t id : untrusted) {
      // A byte is text even where its token says otherwise.
      const bool is_byte = tern::byte_level_decode(tokenizer.piece(id)).value_or("").size() == 1;
      check(input.types[id] != kControl || id == input.unknown || is_byte);
    }
  }
  // Nothing is lost where every byte has a token and each token is text.
  if (input.every_byte && input.all_normal && input.metadata.string("tokenizer.ggml.model") == "gpt2") {
    check(tokenizer.decode(plain) == input.text);
  }
  decode_anything(tokenizer, input.text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  Input input;
  try {
    read_keys(next(rest, '\0'), input);
    read_tokens(next(rest, '\0'), input);
    read_merges(next(rest, '\0'), input);
    read_scores(next(rest, '\0'), input);
    input.text = rest;
    const auto tokenizer = Tokenizer::from_metadata(input.metadata);
    input.unknown = input.metadata.integer_or("tokenizer.ggml.unknown_token_id", -1, INT64_MIN, INT64_MAX);
    use(*tokenizer, input);
  } catch (const tern::Error& error) {
    if (error.code() != tern::ErrorCode::kBadInput) std::abort();
  }
  return 0;
}
