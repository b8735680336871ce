#include "text/hf/bpe_model.h"

#include <fmt/core.h>

#include "core/error.h"
#include "text/byte_level.h"
#include "text/segment_encoder.h"
#include "text/utf8.h"

namespace tern::hf {

BpeModel::Settings::Settings(const JsonNode& model)
    : prefix(model.string_or("continuing_subword_prefix", "")),
      suffix(model.string_or("end_of_word_suffix", "")),
      byte_fallback(model.boolean_or("byte_fallback", false)),
      fuse_unknown(model.boolean_or("fuse_unk", false)),
      whole_words(model.boolean_or("ignore_merges", false)) {
  if (const auto token = model.find("unk_token")) unknown = token->string();
  if (const auto dropout = model.find("dropout"); dropout && dropout->number() != 0) {
    dropout->refuse("is not 0: a random tokenizer is for training");
  }
}

BpeModel::BpeModel(const TokenizerFile& file, const Vocabulary& vocabulary, bool alphabet)
    : vocabulary_(vocabulary),
      settings_(file.node().at("model")),
      bpe_(vocabulary, file.merges, settings_.prefix.size(), file.source),
      alphabet_(alphabet) {
  if (settings_.unknown) {
    unknown_ = vocabulary.find(*settings_.unknown);
    if (!unknown_) {
      file.node()
          .at("model")
          .at("unk_token")
          .refuse(fmt::format("\"{}\" is not in the vocabulary", printable(*settings_.unknown)));
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = vocabulary.find(piece_of_byte(static_cast<uint8_t>(byte))).value_or(-1);
  }
  const bool characters = !settings_.prefix.empty() || !settings_.suffix.empty();
  takes_bytes_ = alphabet && !characters && (has_every_byte() || (!unknown_ && !settings_.byte_fallback));
}

bool BpeModel::has_every_byte() const {
  for (int byte = 0; byte < 256; ++byte) {
    if (!bpe_.byte_token(static_cast<uint8_t>(byte))) return false;
  }
  return true;
}

std::optional<int32_t> BpeModel::whole_word(std::string_view word) const {
  return takes_bytes_ ? text_token(vocabulary_, byte_level_encode(word)) : text_token(vocabulary_, word);
}

void BpeModel::encode(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const {
  if (settings_.whole_words) {
    if (const auto id = whole_word(word)) {
      ids.push_back(*id);
      return;
    }
  }
  if (takes_bytes_) return bpe_.encode(word, scratch.bpe, ids);
  scratch.bpe.ids.clear();
  symbols_of(word, scratch.bpe.ids);
  bpe_.merge(scratch.bpe, ids);
}

bool BpeModel::bytes_of(std::string_view symbol, std::vector<int32_t>& ids) const {
  for (const char byte : symbol) {
    if (byte_ids_[static_cast<uint8_t>(byte)] < 0) return false;
  }
  for (const char byte : symbol) ids.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
  return true;
}

// A character that is no token becomes its bytes, or the unknown token, which waits for what follows: where fused, one
// stands for a whole run. (It waits behind bytes too, as in the original.)
void BpeModel::symbols_of(std::string_view word, std::vector<int32_t>& ids) const {
  bool waiting = false;
  std::string affixed;
  for (size_t at = 0; at < word.size();) {
    const size_t bytes = code_point_at(word, at).bytes;
    std::string_view symbol = word.substr(at, bytes);
    if ((at > 0 && !settings_.prefix.empty()) || (at + bytes == word.size() && !settings_.suffix.empty())) {
      affixed = (at > 0 ? settings_.prefix : "") + std::string(symbol);
      if (at + bytes == word.size()) affixed += settings_.suffix;
      symbol = affixed;
    }
    at += bytes;
    if (const auto id = text_token(vocabulary_, symbol)) {
      if (waiting) ids.push_back(*unknown_);
      waiting = false;
      ids.push_back(*id);
    } else if (!(settings_.byte_fallback && bytes_of(symbol, ids)) && unknown_) {
      if (waiting && !settings_.fuse_unknown) ids.push_back(*unknown_);
      waiting = true;
    }
  }
  if (waiting) ids.push_back(*unknown_);
}

std::optional<int32_t> BpeModel::byte_token(uint8_t byte) const {
  if (alphabet_) return bpe_.byte_token(byte);
  if (settings_.byte_fallback && byte_ids_[byte] >= 0) return byte_ids_[byte];
  return unknown_;
}

}  // namespace tern::hf
