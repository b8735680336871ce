#include "text/hf/decoder.h"

#include <fmt/core.h>

#include <array>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/limits.h"
#include "text/byte_level.h"
#include "text/hf/matches.h"
#include "text/hf/metaspace.h"

namespace tern::hf {
namespace {

constexpr int64_t kMostStripped = 1'000'000;

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string made;
  size_t done = 0;
  for (size_t at; !from.empty() && (at = text.find(from, done)) != text.npos; done = at + from.size()) {
    made += text.substr(done, at - done);
    made += to;
  }
  return made += text.substr(done);
}

void strip(std::string& text, std::string_view lead, size_t leads, std::string_view trail, size_t trails) {
  size_t begin = 0;
  for (; leads > 0 && std::string_view(text).substr(begin).starts_with(lead); --leads) begin += lead.size();
  text.erase(0, begin);
  for (; trails > 0 && text.ends_with(trail); --trails) text.resize(text.size() - trail.size());
}

// What English text has no space before.
std::string tidied(std::string text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules{{{" .", "."},
                                                                                  {" ?", "?"},
                                                                                  {" !", "!"},
                                                                                  {" ,", ","},
                                                                                  {" ' ", "'"},
                                                                                  {" n't", "n't"},
                                                                                  {" 'm", "'m"},
                                                                                  {" do not", " don't"},
                                                                                  {" 's", "'s"},
                                                                                  {" 've", "'ve"},
                                                                                  {" 're", "'re"}}};
  for (const auto& [from, to] : kRules) text = replaced(text, from, to);
  return text;
}

}  // namespace

Decoder::Decoder() : lead_(" "), lead_count_(1) {
  steps_.push_back([](std::string_view piece) { return " " + std::string(piece); });
}

Decoder::Decoder(const JsonNode& node) { add(node); }

void Decoder::push(Step step, const JsonNode& node) {
  if (steps_.size() == Limits::kTokenizerSteps) node.refuse(fmt::format("is one of more than {}", steps_.size()));
  if (fused_) node.refuse("works on the whole text, behind a Fuse, which is not read");
  steps_.push_back(std::move(step));
}

void Decoder::add_strip(const JsonNode& node) {
  const std::string content = node.at("content").string();
  const auto start = static_cast<size_t>(node.at("start").integer(0, kMostStripped));
  const auto stop = static_cast<size_t>(node.at("stop").integer(0, kMostStripped));
  if (content.empty()) node.at("content").refuse("is empty");
  if (fused_) {
    std::tie(lead_, lead_count_, trail_, trail_count_) = std::tie(content, start, content, stop);
    return;
  }
  push(
      [content, start, stop](std::string_view piece) {
        std::string text(piece);
        strip(text, content, start, content, stop);
        return text;
      },
      node);
}

void Decoder::add_replace(const JsonNode& node) {
  const JsonNode pattern = node.at("pattern");
  if (const auto literal = pattern.find("String"); literal && literal->string().empty()) literal->refuse("is empty");
  // Patterns match characters, of which a token's bytes may be a part.
  if ((reads_alphabet_ || reads_bytes_) && !pattern.find("String"))
    pattern.refuse("matches bytes, behind a ByteLevel or ByteFallback, which is not read");
  const auto matches = std::make_shared<const Matches>(Matches::from(pattern));
  push(
      [matches, to = node.at("content").string()](std::string_view piece) {
        std::vector<Stretch> stretches;
        matches->find(piece, stretches);
        std::string made;
        for (const Stretch& part : stretches) made += part.hit ? to : piece.substr(part.begin, part.end - part.begin);
        return made;
      },
      node);
}

void Decoder::add_word_piece(const JsonNode& node) {
  const std::string prefix = node.string_or("prefix", "##");
  const bool cleanup = node.boolean_or("cleanup", true);
  push(
      [prefix, cleanup](std::string_view piece) {
        std::string text =
            piece.starts_with(prefix) ? std::string(piece.substr(prefix.size())) : " " + std::string(piece);
        return cleanup ? tidied(std::move(text)) : text;
      },
      node);
  lead_ = " ";
  lead_count_ = 1;
}

void Decoder::add(const JsonNode& node) {
  const std::string& type = node.at("type").string();
  if (type == "Sequence") {
    for (const JsonNode& child : node.at("decoders").items()) add(child);
  } else if (type == "ByteLevel") {
    reads_alphabet_ = true;
    push([](std::string_view piece) { return byte_level_decode(piece).value_or(std::string(piece)); }, node);
  } else if (type == "Replace") {
    add_replace(node);
  } else if (type == "ByteFallback") {
    reads_bytes_ = true;
  } else if (type == "Fuse") {
    fused_ = true;
  } else if (type == "Strip") {
    add_strip(node);
  } else if (type == "Metaspace") {
    const MetaspaceSettings settings(node);
    push([sign = settings.sign](std::string_view piece) { return replaced(piece, sign, " "); }, node);
    lead_ = " ";
    lead_count_ = settings.prepend == MetaspaceSettings::Prepend::kNever ? 0 : 1;
  } else if (type == "WordPiece") {
    add_word_piece(node);
  } else if (type == "BPEDecoder") {
    const std::string suffix = node.string_or("suffix", "</w>");
    push([suffix](std::string_view piece) { return replaced(piece, suffix, " "); }, node);
    trail_ = " ";
    trail_count_ = 1;
  } else {
    node.at("type").refuse(fmt::format("\"{}\" is not read", printable(type)));
  }
}

std::string Decoder::bytes_of(std::string_view piece) const {
  std::string bytes(piece);
  for (const Step& step : steps_) bytes = step(bytes);
  return bytes;
}

void Decoder::trim(std::string& text) const { strip(text, lead_, lead_count_, trail_, trail_count_); }

}  // namespace tern::hf
