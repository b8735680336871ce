#include "text/hf/post_processor.h"

#include <fmt/core.h>

#include "core/error.h"
#include "core/limits.h"

namespace tern::hf {
namespace {

int32_t id_from(const JsonNode& node, const Vocabulary& vocabulary) {
  return static_cast<int32_t>(node.integer(0, vocabulary.size() - 1));
}

// "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], whose tokens "special_tokens" lists.
Surroundings from_template(const JsonNode& node, const Vocabulary& vocabulary) {
  Surroundings around;
  bool behind = false;
  for (const JsonNode& part : node.at("single").items()) {
    const auto token = part.find("SpecialToken");
    if (!token) {
      const JsonNode sequence = part.at("Sequence");
      if (behind || sequence.at("id").string() != "A") sequence.refuse("is not the one text");
      behind = true;
      continue;
    }
    auto& ids = behind ? around.behind : around.before;
    for (const JsonNode& id : node.at("special_tokens").at(token->at("id").string()).at("ids").items()) {
      if (ids.size() == Limits::kTokenizerSteps) node.refuse(fmt::format("adds more than {} tokens", ids.size()));
      ids.push_back(id_from(id, vocabulary));
    }
  }
  if (!behind) node.at("single").refuse("has no place for the text");
  return around;
}

// ["[CLS]", 101]
int32_t token_of_pair(const JsonNode& pair, const Vocabulary& vocabulary) {
  const auto items = pair.items();
  if (items.size() != 2) pair.refuse("is not [token, id]");
  return id_from(items[1], vocabulary);
}

}  // namespace

Surroundings surroundings_from(const JsonNode& node, const Vocabulary& vocabulary) {
  const std::string& type = node.at("type").string();
  if (type == "TemplateProcessing") return from_template(node, vocabulary);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    return {{token_of_pair(node.at("cls"), vocabulary)}, {token_of_pair(node.at("sep"), vocabulary)}};
  }
  if (type == "ByteLevel") return {};  // changes offsets alone
  if (type != "Sequence") node.at("type").refuse(fmt::format("\"{}\" is not read", printable(type)));
  Surroundings around;
  for (const JsonNode& child : node.at("processors").items()) {
    const Surroundings further = surroundings_from(child, vocabulary);
    around.before.insert(around.before.begin(), further.before.begin(), further.before.end());
    around.behind.insert(around.behind.end(), further.behind.begin(), further.behind.end());
    if (around.before.size() + around.behind.size() > Limits::kTokenizerSteps) {
      node.refuse(fmt::format("adds more than {} tokens", Limits::kTokenizerSteps));
    }
  }
  return around;
}

}  // namespace tern::hf
