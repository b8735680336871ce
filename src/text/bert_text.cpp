#include "text/bert_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/bert_classes.h"
#include "text/hf/unicode.h"
#include "text/utf8.h"

namespace tern {
namespace {

using bert::Range;
// The blocks of ideographs that BERT's tokenizers name. One begins where a typing error of the original has put it.
constexpr std::array kIdeographs{Range{0x4E00, 0x9FFF},   Range{0x3400, 0x4DBF},   Range{0x20000, 0x2A6DF},
                                 Range{0x2A700, 0x2B73F}, Range{0x2B740, 0x2B81F}, Range{0x2B920, 0x2CEAF},
                                 Range{0xF900, 0xFAFF},   Range{0x2F800, 0x2FA1F}};

bool is_ideograph(char32_t value) {
  return std::any_of(kIdeographs.begin(), kIdeographs.end(),
                     [&](const Range& range) { return value >= range.first && value <= range.last; });
}

// The character decomposed, without marks.
void append_bare(std::string& out, char32_t value) {
  constexpr int kMost = 64;  // far more than any character decomposes to
  std::array<utf8proc_int32_t, kMost> parts;
  int boundary = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(value), parts.data(), kMost,
                                             static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE), &boundary);
  if (count < 0 || count > kMost) return append_utf8(out, value);
  for (int i = 0; i < count; ++i) {
    const auto part = static_cast<char32_t>(parts[static_cast<size_t>(i)]);
    if (!bert::contains(bert::kMarks, part)) append_utf8(out, part);
  }
}

// Every code point of the text through visit(out, value).
template <class Visit>
std::string map_text(std::string_view text, const Visit& visit) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    visit(out, point.value);
    at += point.bytes;
  }
  return out;
}

void clean(std::string& out, char32_t value) {
  if (bert::contains(bert::kDropped, value)) return;
  append_utf8(out, hf::is_white_space(value) ? U' ' : value);
}

void set_apart(std::string& out, char32_t value) {
  if (!is_ideograph(value)) return append_utf8(out, value);
  out += ' ';
  append_utf8(out, value);
  out += ' ';
}

}  // namespace

std::string normalize_bert(std::string_view text, const BertTextOptions& options) {
  std::string out(text);
  if (options.clean) out = map_text(out, clean);
  if (options.apart_ideographs) out = map_text(out, set_apart);
  if (options.strip_accents) out = map_text(out, append_bare);
  return options.lowercase ? hf::lower_case(out) : out;
}

void split_bert(std::string_view text, std::vector<std::string_view>& words) {
  size_t begin = 0;
  const auto end_word = [&](size_t at) {
    if (at > begin) words.push_back(text.substr(begin, at - begin));
  };
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const bool space = hf::is_white_space(point.value),
               mark = !space && bert::contains(bert::kPunctuation, point.value);
    if (space || mark) {
      end_word(at);
      begin = at + point.bytes;
      if (mark) words.push_back(text.substr(at, point.bytes));
    }
    at += point.bytes;
  }
  end_word(text.size());
}

}  // namespace tern
