#include "text/tokenizer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "text/bert_encoder.h"
#include "text/byte_level_encoder.h"
#include "text/sentencepiece_encoder.h"

namespace tern {
namespace {

// Texts that end a turn in one model family or another; they count when the vocabulary has them as control tokens.
constexpr std::array<std::string_view, 14> kEndTexts{
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "</s>",
    "<|end|>",    "<|eot|>",    "<EOT>",      "_<EOT>",        "<|end_of_turn|>", "<|return|>",    "<|end_of_role|>",
};

std::vector<int64_t> token_types(const Metadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  return metadata.has(kKey) ? metadata.integers(kKey) : std::vector<int64_t>{};
}

std::optional<int32_t> token_id(const Metadata& metadata, std::string_view key, int32_t vocab_size) {
  const int64_t id = metadata.integer_or(key, -1, 0, vocab_size - 1);
  return id < 0 ? std::nullopt : std::optional(static_cast<int32_t>(id));
}

// Of the vocabularies named by tokenizer.ggml.model.
std::unique_ptr<SegmentEncoder> byte_level_encoder(const Metadata& metadata, const Vocabulary& vocabulary,
                                                   const PreTokenizerRow& row) {
  return std::make_unique<ByteLevelEncoder>(vocabulary, metadata.strings("tokenizer.ggml.merges"), row,
                                            metadata.source());
}

std::unique_ptr<SegmentEncoder> sentencepiece_encoder(const Metadata& metadata, const Vocabulary& vocabulary) {
  const SentencePieceEncoder::Options options{
      .add_space_prefix = metadata.boolean_or("tokenizer.ggml.add_space_prefix", true),
      .unknown = token_id(metadata, "tokenizer.ggml.unknown_token_id", vocabulary.size())};
  return std::make_unique<SentencePieceEncoder>(vocabulary, metadata.numbers("tokenizer.ggml.scores"), options,
                                                metadata.source());
}

// Files of encoders often leave out which tokens these are: then by their text.
std::optional<int32_t> token_id_or(const Metadata& metadata, std::string_view key, const Vocabulary& vocabulary,
                                   std::string_view text) {
  const auto id = token_id(metadata, key, vocabulary.size());
  return id ? id : vocabulary.find(text);
}

std::unique_ptr<SegmentEncoder> bert_encoder(const Metadata& metadata, const Vocabulary& vocabulary) {
  const bool lowercase = metadata.boolean_or("tokenizer.ggml.normalizer.lowercase", true);
  const BertTextOptions text{.strip_accents = metadata.boolean_or("tokenizer.ggml.normalizer.strip_accents", lowercase),
                             .lowercase = lowercase};
  WordPiece pieces(vocabulary,
                   {.begins = "\xE2\x96\x81",
                    .goes_on = "",
                    .unknown = token_id_or(metadata, "tokenizer.ggml.unknown_token_id", vocabulary, "[UNK]")});
  return std::make_unique<BertEncoder>(std::move(pieces), text);
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::from_metadata(const Metadata& metadata) {
  std::shared_ptr<Tokenizer> tokenizer(new Tokenizer(metadata));
  tokenizer->choose_encoder(metadata);
  return tokenizer;
}

Tokenizer::Tokenizer(const Metadata& metadata)
    : vocabulary_(metadata.strings("tokenizer.ggml.tokens"), token_types(metadata), metadata.source()),
      bos_(token_id(metadata, "tokenizer.ggml.bos_token_id", vocabulary_.size())),
      eos_(token_id(metadata, "tokenizer.ggml.eos_token_id", vocabulary_.size())),
      special_(vocabulary_, metadata.source()) {
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (vocabulary_.type(id) == TokenType::kByte && !byte_of_piece(vocabulary_.piece(id))) {
      metadata.refuse("tokenizer.ggml.tokens", fmt::format("[{}] \"{}\" is a byte token, but not of the form <0xAB>",
                                                           id, printable(vocabulary_.piece(id))));
    }
  }
  collect_end_tokens(metadata);
}

void Tokenizer::choose_encoder(const Metadata& metadata) {
  const std::string_view model = metadata.string("tokenizer.ggml.model");
  bool adds_bos = true, adds_eos = false;
  if (model == "llama") {
    encoder_ = sentencepiece_encoder(metadata, vocabulary_);
  } else if (model == "gpt2") {
    const std::string_view pre = metadata.string_or("tokenizer.ggml.pre", "default");
    const PreTokenizerRow* row = find_pre_tokenizer(pre);
    if (row == nullptr) {
      metadata.refuse("tokenizer.ggml.pre",
                      fmt::format("is \"{}\", not one of: {}", printable(pre), pre_tokenizer_names()));
    }
    encoder_ = byte_level_encoder(metadata, vocabulary_, *row);
    adds_bos = row->adds_bos;
  } else if (model == "bert") {
    encoder_ = bert_encoder(metadata, vocabulary_);
    if (!bos_) bos_ = vocabulary_.find("[CLS]");
    if (!eos_) eos_ = token_id_or(metadata, "tokenizer.ggml.seperator_token_id", vocabulary_, "[SEP]");
    adds_eos = true;
  } else {
    metadata.refuse("tokenizer.ggml.model",
                    fmt::format("is \"{}\"; tern reads byte-level BPE (\"gpt2\"), SentencePiece BPE (\"llama\") and "
                                "WordPiece (\"bert\")",
                                printable(model)));
  }
  adds_bos_ = metadata.boolean_or("tokenizer.ggml.add_bos_token", adds_bos) && bos_.has_value();
  adds_eos_ = metadata.boolean_or("tokenizer.ggml.add_eos_token", adds_eos) && eos_.has_value();
}

void Tokenizer::collect_end_tokens(const Metadata& metadata) {
  for (const auto key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = token_id(metadata, key, vocabulary_.size())) ends_.push_back(*id);
  }
  for (const auto text : kEndTexts) {
    const auto id = vocabulary_.find(text);
    if (id && is_control(*id)) ends_.push_back(*id);
  }
  std::sort(ends_.begin(), ends_.end());
  ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  return encode_with(text, {.enabled = options.parse_special}, options.add_special);
}

std::vector<int32_t> Tokenizer::encode_marked(const MarkedText& text, bool add_special) const {
  TERN_CHECK(text.text.size() == text.trusted.size());
  return encode_with(text.text, {.enabled = true, .trusted = text.trusted}, add_special);
}

std::vector<int32_t> Tokenizer::encode_with(std::string_view text, SpecialTokens::Control control,
                                            bool add_special) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 2);
  if (add_special && adds_bos_) ids.push_back(*bos_);
  for (size_t at = 0; at < text.size();) {
    const auto match = special_.find(text, at, control);
    const std::string_view plain = text.substr(at, match ? match->at - at : std::string_view::npos);
    if (!plain.empty()) encoder_->encode(plain, ids);
    if (!match) break;
    ids.push_back(match->id);
    at = match->at + match->bytes;
  }
  if (add_special && adds_eos_) ids.push_back(*eos_);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool keep_control) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (keep_control || !is_control(id)) bytes += token_bytes(id);
  }
  if (encoder_->adds_space() && bytes.starts_with(' ')) bytes.erase(0, 1);
  return bytes;
}

std::string_view Tokenizer::piece(int32_t id) const {
  return vocabulary_.has(id) ? vocabulary_.piece(id) : std::string_view{};
}

std::string Tokenizer::token_bytes(int32_t id) const {
  if (!vocabulary_.has(id)) return {};
  const std::string_view stored = vocabulary_.piece(id);
  switch (vocabulary_.type(id)) {
    case TokenType::kByte:
      return std::string(1, static_cast<char>(*byte_of_piece(stored)));
    case TokenType::kNormal:
    case TokenType::kUserDefined:
      return encoder_->bytes_of(stored, vocabulary_.type(id) == TokenType::kUserDefined);
    default:
      return std::string(stored);
  }
}

bool Tokenizer::is_control(int32_t id) const {
  if (!vocabulary_.has(id)) return false;
  const TokenType type = vocabulary_.type(id);
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

bool Tokenizer::is_end(int32_t id) const { return std::binary_search(ends_.begin(), ends_.end(), id); }

}  // namespace tern
