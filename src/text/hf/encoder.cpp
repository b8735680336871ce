#include "text/hf/encoder.h"

#include "text/utf8.h"

namespace tern::hf {

void PipelineEncoder::encode_segment(const Segment& segment, std::vector<int32_t>& ids) const {
  Scratch scratch;
  const std::string_view text = segment.text;
  for (size_t at = 0; at < text.size();) {
    const size_t valid = valid_utf8_length(text, at);
    if (valid > 0) encode_valid({text.substr(at, valid), segment.first && at == 0, segment.control}, scratch, ids);
    at += valid;
    if (at == text.size()) return;
    for (uint32_t bad = code_point_at(text, at).bytes; bad > 0; --bad, ++at) {
      if (const auto id = parts_.model->byte_token(static_cast<uint8_t>(text[at]))) ids.push_back(*id);
    }
  }
}

void PipelineEncoder::encode_valid(const Segment& segment, Scratch& scratch, std::vector<int32_t>& ids) const {
  std::string made;
  std::string_view text = segment.text;
  if (!parts_.normalizer.empty()) text = made = parts_.normalizer.apply(text);
  for (AddedTokens::Cursor cursor;;) {
    const size_t done = cursor.done;
    const auto match = parts_.normalized.next(text, cursor, {.enabled = segment.control});
    const std::string_view plain = text.substr(done, match ? match->begin - done : text.npos);
    if (!plain.empty()) encode_plain(plain, segment.first && done == 0, scratch, ids);
    if (!match) return;
    ids.push_back(match->id);
  }
}

void PipelineEncoder::encode_plain(std::string_view text, bool first, Scratch& scratch,
                                   std::vector<int32_t>& ids) const {
  parts_.splitter.split(text, first, scratch.words);
  for (const Words::Word& word : scratch.words.words) parts_.model->encode(word.text, scratch.model, ids);
}

std::string PipelineEncoder::bytes_of(std::string_view piece, bool user_defined) const {
  if (!user_defined) return parts_.decoder.bytes_of(piece);
  const auto form = parts_.forms.find(std::string(piece));
  const std::string stored = form == parts_.forms.end() ? std::string(piece) : form->second;
  return parts_.decoder.reads_alphabet() ? stored : parts_.decoder.bytes_of(stored);
}

}  // namespace tern::hf
