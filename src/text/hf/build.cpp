#include "text/hf/build.h"

#include <fmt/core.h>

#include <utility>

#include "core/error.h"
#include "text/hf/encoder.h"
#include "text/hf/post_processor.h"
#include "text/hf/vocabulary.h"

namespace tern::hf {
namespace {

using Tokens = std::vector<AddedTokens::Token>;

// Added tokens by where they are looked for.
struct Searched {
  Tokens raw, normalized, marked;
  PipelineEncoder::Forms forms;
};

// Text whose bytes remember where they come from is searched as it stands, before normalizing loses that: there control
// tokens are all found raw.
Searched searched_from(const std::vector<AddedToken>& added, const Normalizer& normalizer) {
  Searched searched;
  for (const AddedToken& one : added) {
    const bool control = !one.token.entry.user_defined;
    if (control || !one.normalized) searched.marked.push_back(one.token);
    if (one.normalized) {
      searched.normalized.push_back(one.token);
      const std::string& piece = one.token.entry.piece;
      std::string form = normalizer.apply(piece);
      if (!control && form != piece) searched.forms.emplace(piece, form);
      searched.normalized.back().entry.piece = std::move(form);
    } else {
      searched.raw.push_back(one.token);
    }
  }
  return searched;
}

std::optional<int32_t> id_of(const std::optional<std::string>& token, const Vocabulary& vocabulary) {
  return token ? vocabulary.find(*token) : std::nullopt;
}

Surroundings surroundings(const TokenizerFile& file, const Companions& companions, const Tokenizer::Parts& parts) {
  if (!companions.adds_bos && !companions.adds_eos) {
    const auto node = file.node().find("post_processor");
    return node ? surroundings_from(*node, *parts.vocabulary) : Surroundings{};
  }
  Surroundings around;
  if (companions.adds_bos.value_or(false) && parts.bos) around.before.push_back(*parts.bos);
  if (companions.adds_eos.value_or(false) && parts.eos) around.behind.push_back(*parts.eos);
  return around;
}

}  // namespace

Tokenizer::Parts tokenizer_parts(const TokenizerFile& file, const Companions& companions) {
  const JsonNode root = file.node();
  if (!root.at("model").is_object()) root.at("model").refuse("is not an object");
  const auto normalizer_node = root.find("normalizer"), splitter_node = root.find("pre_tokenizer"),
             decoder_node = root.find("decoder");
  Decoder decoder = decoder_node ? Decoder(*decoder_node) : Decoder();
  Normalizer normalizer = normalizer_node ? Normalizer(*normalizer_node) : Normalizer();
  WordSplitter splitter = splitter_node ? WordSplitter(*splitter_node) : WordSplitter();

  const std::vector<AddedToken> added = added_tokens_from(file);
  Tokenizer::Parts parts;
  parts.vocabulary = vocabulary_from(file, added, decoder.reads_bytes());
  auto model = make_word_model(file, *parts.vocabulary, splitter.ends_in_alphabet());
  if (model->takes_bytes()) splitter.leave_out_alphabet();

  Searched searched = searched_from(added, normalizer);
  parts.special = std::make_unique<const AddedTokens>(searched.raw, file.source);
  if (searched.marked.size() != searched.raw.size()) {
    parts.special_when_marked = std::make_unique<const AddedTokens>(searched.marked, file.source);
  }
  parts.encoder = std::make_unique<const PipelineEncoder>(
      PipelineEncoder::Parts{std::move(normalizer), AddedTokens(searched.normalized, file.source), std::move(splitter),
                             std::move(model), std::move(decoder), std::move(searched.forms)});
  parts.bos = id_of(companions.bos, *parts.vocabulary);
  parts.eos = id_of(companions.eos, *parts.vocabulary);
  Surroundings around = surroundings(file, companions, parts);
  parts.before = std::move(around.before);
  parts.behind = std::move(around.behind);
  if (parts.eos) parts.ends.push_back(*parts.eos);
  for (const int64_t id : companions.end_ids) {
    if (id >= 0 && id < parts.vocabulary->size()) parts.ends.push_back(static_cast<int32_t>(id));
  }
  return parts;
}

}  // namespace tern::hf
