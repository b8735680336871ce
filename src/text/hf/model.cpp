#include "text/hf/model.h"

#include <fmt/core.h>

#include "core/error.h"
#include "text/hf/bpe_model.h"
#include "text/hf/unigram_model.h"
#include "text/hf/word_level_model.h"
#include "text/hf/word_piece_model.h"

namespace tern::hf {
namespace {

// Files from before models had a type are told apart by what they hold.
std::string type_of(const JsonNode& model, const TokenizerFile& file) {
  if (const auto type = model.find("type")) return type->string();
  if (!file.scores.empty()) return "Unigram";
  if (!file.merges.empty()) return "BPE";
  return model.find("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

}  // namespace

std::optional<int32_t> text_token(const Vocabulary& vocabulary, std::string_view piece) {
  const auto id = vocabulary.find(piece);
  if (!id) return std::nullopt;
  const TokenType type = vocabulary.type(*id);
  const bool text = type != TokenType::kControl && type != TokenType::kUnknown && type != TokenType::kUnused;
  return text ? id : std::nullopt;
}

std::unique_ptr<const WordModel> make_word_model(const TokenizerFile& file, const Vocabulary& vocabulary,
                                                 bool alphabet) {
  const JsonNode model = file.node().at("model");
  const std::string type = type_of(model, file);
  if (type == "BPE") return std::make_unique<const BpeModel>(file, vocabulary, alphabet);
  if (type == "WordLevel") return std::make_unique<const WordLevelModel>(model, vocabulary);
  if (type == "WordPiece") return std::make_unique<const WordPieceModel>(model, vocabulary);
  if (type == "Unigram" && !file.scores.empty()) return std::make_unique<const UnigramModel>(file, vocabulary);
  model.refuse(fmt::format("is of type \"{}\", which is not read; tern reads BPE, Unigram, WordLevel and WordPiece",
                           printable(type)));
}

}  // namespace tern::hf
