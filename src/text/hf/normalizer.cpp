#include "text/hf/normalizer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <functional>

#include "core/base64.h"
#include "core/error.h"
#include "core/limits.h"
#include "text/bert_text.h"
#include "text/byte_level.h"
#include "text/charsmap.h"
#include "text/hf/matches.h"
#include "text/hf/unicode.h"
#include "text/utf8.h"

namespace tern::hf {
namespace {

using Step = Normalizer::Step;

// A step without settings of its own, or with those that a lambda holds.
class FunctionStep : public Step {
 public:
  explicit FunctionStep(std::function<std::string(std::string_view)> function) : function_(std::move(function)) {}
  std::string apply(std::string_view text) const override { return function_(text); }

 private:
  std::function<std::string(std::string_view)> function_;
};

std::unique_ptr<const Step> step(std::function<std::string(std::string_view)> function) {
  return std::make_unique<const FunctionStep>(std::move(function));
}

std::unique_ptr<const Step> form(Form form) {
  return step([form](std::string_view text) { return in_form(text, form); });
}

class Replace : public Step {
 public:
  explicit Replace(const JsonNode& node)
      : matches_(Matches::from(node.at("pattern"))), content_(node.at("content").string()), node_where_(node.where()) {}

  std::string apply(std::string_view text) const override {
    std::vector<Stretch> stretches;
    matches_.find(text, stretches);
    std::string made;
    for (const Stretch& part : stretches) {
      made += part.hit ? std::string_view(content_) : text.substr(part.begin, part.end - part.begin);
      if (made.size() > kGrowth * text.size() + Limits::kStringBytes)
        bad_input(node_where_ + " makes too much of a text");
    }
    return made;
  }

 private:
  static constexpr size_t kGrowth = 16;
  Matches matches_;
  std::string content_, node_where_;
};

std::string each_kept(std::string_view text, const std::function<bool(char32_t)>& keep) {
  std::string made;
  made.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (keep(point.value)) made += text.substr(at, point.bytes);
    at += point.bytes;
  }
  return made;
}

std::string stripped(std::string_view text, bool left, bool right) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (!is_white_space(point.value)) {
      begin = std::min(begin, at);
      end = at + point.bytes;
    }
    at += point.bytes;
  }
  begin = left ? begin : 0;
  end = right ? end : text.size();
  return std::string(begin < end ? text.substr(begin, end - begin) : "");
}

// The rules of the NMT models of SentencePiece: controls go, unusual spaces become spaces.
std::string nmt(std::string_view text) {
  std::string made;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const char32_t c = point.value;
    const bool space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                       c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    const bool gone = (c >= 1 && c <= 8) || c == 11 || (c >= 14 && c <= 31) || c == 127 || c == 0x8F || c == 0x9F;
    if (space) {
      made += ' ';
    } else if (!gone) {
      made += text.substr(at, point.bytes);
    }
    at += point.bytes;
  }
  return made;
}

using Make = std::unique_ptr<const Step> (*)(const JsonNode& node);
struct Row {
  std::string_view type;
  Make make;
};

const std::array<Row, 13> kRows{{
    {"NFC", [](const JsonNode&) { return form(Form::kNfc); }},
    {"NFD", [](const JsonNode&) { return form(Form::kNfd); }},
    {"NFKC", [](const JsonNode&) { return form(Form::kNfkc); }},
    {"NFKD", [](const JsonNode&) { return form(Form::kNfkd); }},
    {"Lowercase", [](const JsonNode&) { return step(lower_case); }},
    {"StripAccents",
     [](const JsonNode&) {
       return step([](std::string_view text) { return each_kept(text, [](char32_t c) { return !is_mark(c); }); });
     }},
    {"Replace",
     [](const JsonNode& node) -> std::unique_ptr<const Step> { return std::make_unique<const Replace>(node); }},
    {"Prepend",
     [](const JsonNode& node) {
       return step([prefix = node.at("prepend").string()](std::string_view text) {
         return text.empty() ? std::string() : prefix + std::string(text);
       });
     }},
    {"Strip",
     [](const JsonNode& node) {
       const bool left = node.boolean_or("strip_left", true), right = node.boolean_or("strip_right", true);
       return step([left, right](std::string_view text) { return stripped(text, left, right); });
     }},
    {"BertNormalizer",
     [](const JsonNode& node) {
       const bool lowercase = node.boolean_or("lowercase", true);
       const BertTextOptions options{.clean = node.boolean_or("clean_text", true),
                                     .apart_ideographs = node.boolean_or("handle_chinese_chars", true),
                                     .strip_accents = node.boolean_or("strip_accents", lowercase),
                                     .lowercase = lowercase};
       return step([options](std::string_view text) { return normalize_bert(text, options); });
     }},
    {"Precompiled",
     [](const JsonNode& node) {
       const JsonNode encoded = node.at("precompiled_charsmap");
       const auto blob = base64_decoded(encoded.string());
       if (!blob) encoded.refuse("is not base64");
       return step(
           [map = CharsMap(*blob, encoded.where())](std::string_view text) { return map.apply_by_grapheme(text); });
     }},
    {"Nmt", [](const JsonNode&) { return step(nmt); }},
    {"ByteLevel", [](const JsonNode&) { return step(byte_level_encode); }},
}};

}  // namespace

void Normalizer::add(const JsonNode& node) {
  const std::string& type = node.at("type").string();
  if (type == "Sequence") {
    for (const JsonNode& child : node.at("normalizers").items()) add(child);
    return;
  }
  if (steps_.size() == Limits::kTokenizerSteps)
    node.refuse(fmt::format("is one of more than {}", Limits::kTokenizerSteps));
  for (const Row& row : kRows) {
    if (row.type == type) {
      steps_.push_back(row.make(node));
      return;
    }
  }
  node.at("type").refuse(fmt::format("\"{}\" is not read", printable(type)));
}

std::string Normalizer::apply(std::string_view text) const {
  std::string made(text);
  for (const auto& step : steps_) made = step->apply(made);
  return made;
}

}  // namespace tern::hf
