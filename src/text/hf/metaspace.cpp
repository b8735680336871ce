#include "text/hf/metaspace.h"

#include <fmt/core.h>

#include "core/error.h"
#include "text/hf/split.h"
#include "text/utf8.h"

namespace tern::hf {
namespace {

using Prepend = MetaspaceSettings::Prepend;

class Metaspace : public WordSplitter::Step {
 public:
  explicit Metaspace(const JsonNode& node)
      : settings_(node), before_sign_(Matches(settings_.sign), Behavior::kMergedWithNext) {}

  void apply(Words& words) const override {
    for (Words::Word& word : words.words) word.text = words.made.emplace_back(marked(word));
    if (settings_.split) before_sign_.apply(words);
  }

 private:
  std::string marked(const Words::Word& word) const {
    const bool leads = word.text.starts_with(' ') || word.text.starts_with(settings_.sign);
    const bool prepends = settings_.prepend == Prepend::kAlways || (settings_.prepend == Prepend::kFirst && word.first);
    std::string text = prepends && !leads ? settings_.sign : "";
    for (const char c : word.text) {
      if (c == ' ') {
        text += settings_.sign;
      } else {
        text += c;
      }
    }
    return text;
  }

  MetaspaceSettings settings_;
  Split before_sign_;
};

}  // namespace

MetaspaceSettings::MetaspaceSettings(const JsonNode& node)
    : sign(node.at("replacement").string()), split(node.boolean_or("split", true)) {
  if (sign.empty() || code_point_at(sign, 0).bytes != sign.size())
    node.at("replacement").refuse("is not one character");
  if (const auto scheme = node.find("prepend_scheme")) {
    const std::string& name = scheme->string();
    if (name != "always" && name != "first" && name != "never") {
      scheme->refuse(fmt::format("is \"{}\", not always, first or never", printable(name)));
    }
    prepend = name == "always" ? Prepend::kAlways : name == "first" ? Prepend::kFirst : Prepend::kNever;
  } else if (!node.boolean_or("add_prefix_space", true)) {
    prepend = Prepend::kNever;
  }
}

std::unique_ptr<const WordSplitter::Step> make_metaspace(const JsonNode& node) {
  return std::make_unique<const Metaspace>(node);
}

}  // namespace tern::hf
