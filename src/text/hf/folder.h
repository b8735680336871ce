// The text side of a Hugging Face folder: tokenizer.json, and beside it tokenizer_config.json, chat_template.jinja or
// chat_template.json, and the tokens that config.json and generation_config.json name. Reads files; keeps none open.
#pragma once

#include <memory>
#include <string>

#include "formats/metadata.h"
#include "text/tokenizer.h"

namespace tern::hf {

inline constexpr const char* kTokenizerFile = "tokenizer.json";

struct FolderText {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string chat_template;  // empty: none
};

bool has_tokenizer(const std::string& folder);

// `metadata`: config.json, and generation_config.json behind "generation_config.". Throws one bad-input line that names
// file, key and reason, also where tokenizer.json is missing.
FolderText read_folder_text(const std::string& folder, const Metadata& metadata);

}  // namespace tern::hf
