#include "text/tokenizer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "text/bert_encoder.h"
#include "text/byte_level_encoder.h"
#include "text/sentencepiece_encoder.h"
#include "text/unigram_encoder.h"

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

// An array of integers that are bytes.
std::string bytes_of(const Metadata& metadata, std::string_view key) {
  std::string bytes;
  if (!metadata.has(key)) return bytes;
  for (const int64_t value : metadata.integers(key)) {
    if (value < -128 || value > 255) metadata.refuse(key, "is not an array of bytes");
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

std::unique_ptr<SegmentEncoder> unigram_encoder(const Metadata& metadata, const Vocabulary& vocabulary) {
  const Unigram::Options options{.unknown = token_id(metadata, "tokenizer.ggml.unknown_token_id", vocabulary.size())};
  constexpr std::string_view kRules = "tokenizer.ggml.precompiled_charsmap";
  return std::make_unique<UnigramEncoder>(
      Unigram(vocabulary, metadata.numbers("tokenizer.ggml.scores"), options, metadata.source()),
      SpecialTokens(vocabulary, metadata.source(), SpecialTokens::Which::kUserDefined),
      CharsMap(bytes_of(metadata, kRules), metadata.source()),
      UnigramEncoder::Options{
          .add_space_prefix = metadata.boolean_or("tokenizer.ggml.add_space_prefix", true),
          .remove_extra_spaces = metadata.boolean_or("tokenizer.ggml.remove_extra_whitespaces", false)});
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

std::unique_ptr<const Vocabulary> vocabulary_of(const Metadata& metadata) {
  auto vocabulary = std::make_unique<const Vocabulary>(metadata.strings("tokenizer.ggml.tokens"), token_types(metadata),
                                                       metadata.source());
  for (int32_t id = 0; id < vocabulary->size(); ++id) {
    if (vocabulary->type(id) == TokenType::kByte && !byte_of_piece(vocabulary->piece(id))) {
      metadata.refuse("tokenizer.ggml.tokens", fmt::format("[{}] \"{}\" is a byte token, but not of the form <0xAB>",
                                                           id, printable(vocabulary->piece(id))));
    }
  }
  return vocabulary;
}

void choose_encoder(const Metadata& metadata, Tokenizer::Parts& parts) {
  const std::string_view model = metadata.string("tokenizer.ggml.model");
  bool adds_bos = true, adds_eos = false;
  if (model == "llama") {
    parts.encoder = sentencepiece_encoder(metadata, *parts.vocabulary);
  } else if (model == "gpt2") {
    const std::string_view pre = metadata.string_or("tokenizer.ggml.pre", "default");
    const PreTokenizerRow* row = find_pre_tokenizer(pre);
    if (row == nullptr) {
      metadata.refuse("tokenizer.ggml.pre",
                      fmt::format("is \"{}\", not one of: {}", printable(pre), pre_tokenizer_names()));
    }
    parts.encoder = byte_level_encoder(metadata, *parts.vocabulary, *row);
    adds_bos = row->adds_bos;
  } else if (model == "t5") {
    parts.encoder = unigram_encoder(metadata, *parts.vocabulary);
    adds_bos = false;
    adds_eos = true;
  } else if (model == "bert") {
    parts.encoder = bert_encoder(metadata, *parts.vocabulary);
    if (!parts.bos) parts.bos = parts.vocabulary->find("[CLS]");
    if (!parts.eos) parts.eos = token_id_or(metadata, "tokenizer.ggml.seperator_token_id", *parts.vocabulary, "[SEP]");
    adds_eos = true;
  } else {
    metadata.refuse("tokenizer.ggml.model",
                    fmt::format("is \"{}\"; tern reads byte-level BPE (\"gpt2\"), SentencePiece BPE (\"llama\"), "
                                "WordPiece (\"bert\") and Unigram (\"t5\")",
                                printable(model)));
  }
  if (metadata.boolean_or("tokenizer.ggml.add_bos_token", adds_bos) && parts.bos) parts.before.push_back(*parts.bos);
  if (metadata.boolean_or("tokenizer.ggml.add_eos_token", adds_eos) && parts.eos) parts.behind.push_back(*parts.eos);
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::from_metadata(const Metadata& metadata) {
  Parts parts;
  parts.vocabulary = vocabulary_of(metadata);
  const int32_t size = parts.vocabulary->size();
  parts.bos = token_id(metadata, "tokenizer.ggml.bos_token_id", size);
  parts.eos = token_id(metadata, "tokenizer.ggml.eos_token_id", size);
  for (const auto key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = token_id(metadata, key, size)) parts.ends.push_back(*id);
  }
  choose_encoder(metadata, parts);
  using Which = SpecialTokens::Which;
  const Which which = parts.encoder->finds_user_defined() ? Which::kAllButUserDefined : Which::kAll;
  parts.special = std::make_unique<const AddedTokens>(SpecialTokens(*parts.vocabulary, metadata.source(), which));
  return std::make_shared<const Tokenizer>(std::move(parts));
}

Tokenizer::Tokenizer(Parts parts) : parts_(std::move(parts)) { complete_ends(); }

void Tokenizer::complete_ends() {
  std::vector<int32_t>& ends = parts_.ends;
  for (const auto text : kEndTexts) {
    const auto id = parts_.vocabulary->find(text);
    if (id && is_control(*id)) ends.push_back(*id);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  return encode_with(*parts_.special, text, {.enabled = options.parse_special}, options.add_special);
}

std::vector<int32_t> Tokenizer::encode_marked(const MarkedText& text, bool add_special) const {
  TERN_CHECK(text.text.size() == text.trusted.size());
  const bool own = parts_.special_when_marked != nullptr;
  return encode_with(own ? *parts_.special_when_marked : *parts_.special, text.text,
                     {.enabled = true, .trusted = text.trusted}, add_special);
}

std::vector<int32_t> Tokenizer::encode_with(const AddedTokens& special, std::string_view text,
                                            SpecialTokens::Control control, bool add_special) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 2);
  if (add_special) ids = parts_.before;
  // Behind an encoder's own form of a text, nobody knows any more which bytes are trusted.
  const bool control_inside = control.enabled && control.trusted.empty();
  for (AddedTokens::Cursor cursor; cursor.done < text.size();) {
    const size_t done = cursor.done;
    const auto match = special.next(text, cursor, control);
    const std::string_view plain = text.substr(done, match ? match->begin - done : std::string_view::npos);
    if (!plain.empty()) parts_.encoder->encode_segment({plain, done == 0, control_inside}, ids);
    if (!match) break;
    ids.push_back(match->id);
  }
  if (add_special) ids.insert(ids.end(), parts_.behind.begin(), parts_.behind.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool keep_control) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (keep_control || !is_control(id)) bytes += token_bytes(id);
  }
  parts_.encoder->trim(bytes);
  return bytes;
}

std::string_view Tokenizer::piece(int32_t id) const {
  return parts_.vocabulary->has(id) ? parts_.vocabulary->piece(id) : std::string_view{};
}

std::string Tokenizer::token_bytes(int32_t id) const {
  if (!parts_.vocabulary->has(id)) return {};
  const std::string_view stored = parts_.vocabulary->piece(id);
  switch (parts_.vocabulary->type(id)) {
    case TokenType::kByte:
      return std::string(1, static_cast<char>(*byte_of_piece(stored)));
    case TokenType::kNormal:
    case TokenType::kUserDefined:
      return parts_.encoder->bytes_of(stored, parts_.vocabulary->type(id) == TokenType::kUserDefined);
    default:
      return std::string(stored);
  }
}

bool Tokenizer::is_control(int32_t id) const {
  if (!parts_.vocabulary->has(id)) return false;
  const TokenType type = parts_.vocabulary->type(id);
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

bool Tokenizer::is_end(int32_t id) const { return std::binary_search(parts_.ends.begin(), parts_.ends.end(), id); }

}  // namespace tern
