#include "text/hf/pre_tokenizer.h"

#include <fmt/core.h>

#include <array>
#include <functional>

#include "core/error.h"
#include "core/limits.h"
#include "text/byte_level.h"
#include "text/hf/metaspace.h"
#include "text/hf/regex.h"
#include "text/hf/split.h"
#include "text/hf/unicode.h"
#include "text/utf8.h"

namespace tern::hf {
namespace {

using Step = WordSplitter::Step;

// What "use_regex" of ByteLevel stands for (GPT-2), and the words of "Whitespace", whose \w has the joiners.
constexpr std::string_view kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kWords =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]+|[^\s\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]+)";

// A step that rewrites each word.
class Rewrite : public Step {
 public:
  explicit Rewrite(std::function<std::string(std::string_view)> rewritten) : rewritten_(std::move(rewritten)) {}
  void apply(Words& words) const override {
    for (Words::Word& word : words.words) word.text = words.made.emplace_back(rewritten_(word.text));
  }

 private:
  std::function<std::string(std::string_view)> rewritten_;
};

// A step that cuts words into so many characters each.
class FixedLength : public Step {
 public:
  explicit FixedLength(int64_t length) : length_(length) {}
  void apply(Words& words) const override {
    std::vector<Words::Word> cut;
    for (const Words::Word& word : words.words) {
      int64_t points = 0;
      size_t begin = 0;
      for (size_t at = 0; at < word.text.size();) {
        at += code_point_at(word.text, at).bytes;
        if (++points % length_ != 0 && at < word.text.size()) continue;
        cut.push_back({word.text.substr(begin, at - begin), word.first && begin == 0});
        begin = at;
      }
    }
    words.words = std::move(cut);
  }

 private:
  int64_t length_;
};

constexpr int64_t kLongestCut = 1'000'000, kUsualCut = 5;

std::unique_ptr<const Step> split_at(bool (*is)(char32_t), Behavior behavior) {
  return std::make_unique<const Split>(Matches(is), behavior);
}

std::unique_ptr<const Step> split_by(std::string_view pattern, const JsonNode& node, Behavior behavior, bool invert) {
  return std::make_unique<const Split>(
      Matches(std::make_unique<const Pattern>(pcre2_of_oniguruma(pattern, node.where()), node.where())), behavior,
      invert);
}

Behavior behavior_or(const JsonNode& node, Behavior fallback) {
  const auto name = node.find("behavior");
  return name ? behavior_from(*name) : fallback;
}

using Make = std::unique_ptr<const Step> (*)(const JsonNode& node);
struct Row {
  std::string_view type;
  Make make;
};

const std::array<Row, 8> kRows{{
    {"Split",
     [](const JsonNode& node) -> std::unique_ptr<const Step> {
       return std::make_unique<const Split>(Matches::from(node.at("pattern")), behavior_from(node.at("behavior")),
                                            node.boolean_or("invert", false));
     }},
    {"Digits",
     [](const JsonNode& node) {
       return split_at(is_numeric,
                       node.boolean_or("individual_digits", false) ? Behavior::kIsolated : Behavior::kContiguous);
     }},
    {"Metaspace", make_metaspace},
    {"Whitespace", [](const JsonNode& node) { return split_by(kWords, node, Behavior::kRemoved, true); }},
    {"WhitespaceSplit", [](const JsonNode&) { return split_at(is_white_space, Behavior::kRemoved); }},
    {"Punctuation",
     [](const JsonNode& node) { return split_at(is_punctuation, behavior_or(node, Behavior::kIsolated)); }},
    {"FixedLength",
     [](const JsonNode& node) -> std::unique_ptr<const Step> {
       const auto length = node.find("length");
       return std::make_unique<const FixedLength>(length ? length->integer(1, kLongestCut) : kUsualCut);
     }},
    {"CharDelimiterSplit",
     [](const JsonNode& node) -> std::unique_ptr<const Step> {
       return std::make_unique<const Split>(Matches(node.at("delimiter").string()), Behavior::kRemoved);
     }},
}};

}  // namespace

void WordSplitter::push(std::unique_ptr<const Step> step, const JsonNode& node) {
  if (steps_.size() >= Limits::kTokenizerSteps) {
    node.refuse(fmt::format("is one of more than {}", Limits::kTokenizerSteps));
  }
  steps_.push_back(std::move(step));
  ends_in_alphabet_ = false;
}

void WordSplitter::add_byte_level(const JsonNode& node) {
  if (node.boolean_or("add_prefix_space", true)) {
    push(std::make_unique<const Rewrite>(
             [](std::string_view word) { return word.starts_with(' ') ? std::string(word) : " " + std::string(word); }),
         node);
  }
  if (node.boolean_or("use_regex", true)) push(split_by(kGpt2Words, node, Behavior::kIsolated, false), node);
  push(std::make_unique<const Rewrite>(byte_level_encode), node);
  ends_in_alphabet_ = true;
}

void WordSplitter::add(const JsonNode& node) {
  const std::string& type = node.at("type").string();
  if (type == "Sequence") {
    for (const JsonNode& child : node.at("pretokenizers").items()) add(child);
    return;
  }
  if (type == "ByteLevel") return add_byte_level(node);
  if (type == "BertPreTokenizer") {
    push(split_at(is_white_space, Behavior::kRemoved), node);
    push(split_at(is_punctuation, Behavior::kIsolated), node);
    return;
  }
  for (const Row& row : kRows) {
    if (row.type == type) return push(row.make(node), node);
  }
  node.at("type").refuse(fmt::format("\"{}\" is not read", printable(type)));
}

void WordSplitter::leave_out_alphabet() {
  TERN_CHECK(ends_in_alphabet_);
  steps_.pop_back();
  ends_in_alphabet_ = false;
}

void WordSplitter::split(std::string_view text, bool first, Words& words) const {
  words.made.clear();
  words.words.clear();
  if (text.empty()) return;
  words.words.push_back({text, first});
  for (const auto& step : steps_) step->apply(words);
}

}  // namespace tern::hf
