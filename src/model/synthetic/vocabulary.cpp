#include "model/synthetic/vocabulary.h"

#include <algorithm>
#include <string_view>

namespace tern {
namespace {

constexpr int32_t kNormal = 1, kControl = 3;
constexpr int64_t kLetters = 26;

// The alphabet of GPT-2's byte-level BPE: printable bytes of Latin-1 stand for themselves, the others for the code
// points from 256 on. All below 0x800, so UTF-8 takes one or two bytes.
std::string byte_character(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
  }
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
}

std::string letter(int64_t i) { return std::string(1, static_cast<char>('a' + i)); }

// Words of two letters and more, the first of which may also be a space, shortest first: each is the next shorter
// generation's word and a letter.
void add_words(int64_t count, SyntheticVocabulary& out) {
  std::vector<std::string> shorter{byte_character(' ')};
  for (int64_t i = 0; i < kLetters; ++i) shorter.push_back(letter(i));
  while (count > 0) {
    std::vector<std::string> words;
    for (const std::string& word : shorter) {
      for (int64_t i = 0; i < kLetters && count > 0; ++i, --count) {
        words.push_back(word + letter(i));
        out.merges.push_back(word + " " + letter(i));
      }
    }
    out.tokens.insert(out.tokens.end(), words.begin(), words.end());
    shorter = std::move(words);
  }
}

}  // namespace

SyntheticVocabulary synthetic_vocabulary(int64_t size) {
  SyntheticVocabulary out;
  const int64_t controls = std::min<int64_t>(3, std::max<int64_t>(size - 1, 1));
  out.tokens.reserve(static_cast<size_t>(size));
  const int64_t bytes = std::min<int64_t>(256, size - controls);
  for (int b = 0; b < bytes; ++b) out.tokens.push_back(byte_character(b));
  add_words(size - controls - bytes, out);
  out.types.assign(out.tokens.size(), kNormal);
  constexpr std::string_view kControls[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (int64_t i = 0; i < controls; ++i) {
    out.tokens.emplace_back(kControls[i]);
    out.types.push_back(kControl);
  }
  out.has_turns = controls == 3;
  out.bos = static_cast<int32_t>(size - controls);
  out.eos = static_cast<int32_t>(size - 1);
  return out;
}

std::string synthetic_chat_template() {
  return "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
         "+ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
}

}  // namespace tern
