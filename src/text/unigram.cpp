#include "text/unigram.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "text/segment_encoder.h"
#include "text/utf8.h"

namespace tern {
namespace {

constexpr double kUnknownPenalty = 10;
constexpr double kUserDefinedScore = -0.1;  // SentencePiece's, whatever the file says
constexpr int32_t kUnknown = -1;

}  // namespace

// The best way to reach a place of the text.
struct Unigram::Cut {
  double score = -std::numeric_limits<double>::infinity();
  size_t begin = 0;  // of the last piece
  int32_t id = kUnknown;
};

Unigram::Unigram(const Vocabulary& vocabulary, std::span<const double> scores, Options options,
                 const std::string& source)
    : vocabulary_(vocabulary), options_(options), scores_(scores.begin(), scores.end()) {
  if (scores.size() != static_cast<size_t>(vocabulary.size())) {
    bad_input(fmt::format("{}: {} scores for {} tokens", source, scores.size(), vocabulary.size()));
  }
  double least = 0;
  bool any = false;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const double score = scores[static_cast<size_t>(id)];
    if (!std::isfinite(score)) bad_input(fmt::format("{}: score {} of a token is {}", source, id, score));
    const TokenType type = vocabulary.type(id);
    if ((type != TokenType::kNormal && type != TokenType::kUserDefined) || vocabulary.piece(id).empty()) continue;
    sorted_.push_back(id);
    const bool preferred = options.as_sentencepiece && type == TokenType::kUserDefined;
    scores_[static_cast<size_t>(id)] = kept(preferred ? kUserDefinedScore : score);
    if (preferred) continue;
    least = any ? std::min(least, score) : score;
    any = true;
  }
  unknown_score_ = kept(kept(least) - kUnknownPenalty);
  std::sort(sorted_.begin(), sorted_.end(),
            [&](int32_t a, int32_t b) { return vocabulary.piece(a) < vocabulary.piece(b); });
  for (int byte = 0; byte < 256; ++byte) {
    const auto id = vocabulary.find(piece_of_byte(static_cast<uint8_t>(byte)));
    bytes_[static_cast<size_t>(byte)] = id && options.byte_tokens && vocabulary.is_text(*id) ? *id : -1;
  }
}

// All pieces that begin at `from`, the shortest first, and the character there if it is none.
void Unigram::extend(std::string_view text, size_t from, std::vector<Cut>& cuts) const {
  const auto reach = [&](size_t end, double score, int32_t id) {
    const double total = kept(cuts[from].score + score);
    if (total > cuts[end].score) cuts[end] = {total, from, id};
  };
  const size_t character = code_point_at(text, from).bytes;
  bool known = false;
  // Those in [first, behind) begin with the text's bytes so far; one as long as these goes before the others.
  auto first = sorted_.begin(), behind = sorted_.end();
  for (size_t end = from; end < text.size() && first != behind; ++end) {
    const size_t depth = end - from;
    const auto byte_at = [&](int32_t id) { return static_cast<uint8_t>(vocabulary_.piece(id)[depth]); };
    const auto wanted = static_cast<uint8_t>(text[end]);
    if (vocabulary_.piece(*first).size() == depth) ++first;
    first = std::partition_point(first, behind, [&](int32_t id) { return byte_at(id) < wanted; });
    behind = std::partition_point(first, behind, [&](int32_t id) { return byte_at(id) == wanted; });
    if (first == behind || vocabulary_.piece(*first).size() != depth + 1) continue;
    reach(end + 1, scores_[static_cast<size_t>(*first)], *first);
    known = known || depth + 1 == character;
  }
  if (!known) reach(from + character, unknown_score_, kUnknown);
}

void Unigram::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::vector<Cut> cuts(text.size() + 1);
  cuts[0].score = 0;
  for (size_t at = 0; at < text.size(); at += code_point_at(text, at).bytes) extend(text, at, cuts);
  std::vector<std::pair<size_t, int32_t>> pieces;  // where each ends, from the last one
  for (size_t end = text.size(); end > 0; end = cuts[end].begin) pieces.emplace_back(end, cuts[end].id);
  size_t begin = 0;
  for (size_t i = pieces.size(); i-- > 0;) {
    const bool unknown = pieces[i].second == kUnknown;
    if (unknown && i > 0 && pieces[i - 1].second == kUnknown) continue;  // one together with the next
    if (unknown) {
      push_unknown(text.substr(begin, pieces[i].first - begin), ids);
    } else {
      ids.push_back(pieces[i].second);
    }
    begin = pieces[i].first;
  }
}

void Unigram::push_unknown(std::string_view text, std::vector<int32_t>& ids) const {
  const bool bytes =
      std::all_of(text.begin(), text.end(), [&](char c) { return bytes_[static_cast<uint8_t>(c)] >= 0; });
  if (bytes) {
    for (const char c : text) ids.push_back(bytes_[static_cast<uint8_t>(c)]);
  } else if (options_.unknown) {
    ids.push_back(*options_.unknown);
  }
}

}  // namespace tern
