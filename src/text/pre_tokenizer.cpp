#include "text/pre_tokenizer.h"

#include <fmt/core.h>

#include <array>

// White space as the property White_Space of Unicode has it, which is what Hugging Face's patterns mean by \s. PCRE2's
// own
// \s adds U+180E. Written as the inside of a character class.
#define TERN_SPACE "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define TERN_SPACES "[" TERN_SPACE "]+(?![^" TERN_SPACE "])|[" TERN_SPACE "]+"

namespace tern {
namespace {

// GPT-2: contractions, then letters, digits and the rest each with the space before them.
constexpr std::string_view kGpt2Words =
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^" TERN_SPACE "\\p{L}\\p{N}]+|" TERN_SPACES;
// Llama 3 and Qwen 2: the same in any case, a punctuation mark may lead a word, line ends stay together. They differ in
// how many digits make a word.
#define TERN_MODERN_WORDS(digits)                                                      \
  "(?i:'(?:[sdmt]|ll|ve|re))|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" TERN_SPACE \
  "\\p{L}\\p{N}]+[\\r\\n]*|"                                                           \
  "[" TERN_SPACE "]*[\\r\\n]+|" TERN_SPACES

constexpr std::array<std::string_view, 1> kGpt2{kGpt2Words};
constexpr std::array<std::string_view, 2> kSmollm{"\\p{N}", kGpt2Words};
constexpr std::array<std::string_view, 1> kLlama3{TERN_MODERN_WORDS("\\p{N}{1,3}")};
constexpr std::array<std::string_view, 1> kQwen2{TERN_MODERN_WORDS("\\p{N}")};
// What llama.cpp does with files that name no rule.
constexpr std::array<std::string_view, 4> kDefault{"[\\p{P}\\$\\+<=>\\^~\\|]+", kGpt2Words, "\\p{N}+",
                                                   "[0-9][0-9][0-9]"};

// Qwen 3.5: marks belong to the letters before them.
constexpr std::array<std::string_view, 1> kQwen35{
    "(?i:'(?:[sdmt]|ll|ve|re))|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
    "| ?[^" TERN_SPACE
    "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"
    "[" TERN_SPACE "]*[\\r\\n]+|" TERN_SPACES};
// GPT-4o and Tekken: a word is capitals, then small letters, so CamelCase is two; slashes go with line ends.
#define TERN_CASED_WORDS(contractions, digits)                                                                         \
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" contractions             \
  "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" contractions "|" digits \
  "| ?[^" TERN_SPACE "\\p{L}\\p{N}]+[\\r\\n/]*|[" TERN_SPACE "]*[\\r\\n]+|" TERN_SPACES
constexpr std::array<std::string_view, 1> kO200k{TERN_CASED_WORDS("(?i:'(?:[sdmt]|ll|ve|re))?", "\\p{N}{1,3}")};
constexpr std::array<std::string_view, 1> kTekken{TERN_CASED_WORDS("", "\\p{N}")};
// DeepSeek V3: digits by three, runs of Chinese and kana, then words that an ASCII mark may begin.
constexpr std::array<std::string_view, 3> kDeepseek3{
    "\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|[" TERN_SPACE "]*[\\r\\n]+|" TERN_SPACES};
// DeepSeek V2 and LLM. Its first class is written out in the file: the letters with case of Unicode 14 and older.
constexpr std::array<std::string_view, 6> kDeepseekLlm{
    "[\\r\\n]",
    "[" TERN_SPACE "]?[\\p{Lu}\\p{Ll}\\p{Lt}]+",
    "[" TERN_SPACE "]?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+",
    "[" TERN_SPACE "]+$",
    "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+",
    "\\p{N}+"};
constexpr std::array<std::string_view, 5> kDeepseekCoder{
    "[\\r\\n]", "[" TERN_SPACE "]?\\p{L}+", "[" TERN_SPACE "]?\\p{P}+",
    "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+", "\\p{N}"};
constexpr std::array<std::string_view, 3> kFalcon{"[\\p{P}\\$\\+<=>\\^~\\|`]+", kGpt2Words, "[0-9][0-9][0-9]"};
// BLOOM: what stands between spaces and full stops of many scripts. The bracket is a member of the class, as in the
// file.
#define TERN_BLOOM_WORDS " ?[^(" TERN_SPACE "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"
constexpr std::array<std::string_view, 1> kBloom{TERN_BLOOM_WORDS};
constexpr std::array<std::string_view, 2> kViking{TERN_BLOOM_WORDS, "\\p{N}"};

constexpr std::array<std::string_view, 16> kGpt2Names{
    "gpt-2",    "gpt2",    "phi-2",   "mpt",        "olmo",       "jais",   "trillion",        "exaone4",
    "gigachat", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "mellum", "granite-docling", "modern-bert"};
constexpr std::array<std::string_view, 7> kSmollmNames{"smollm",    "starcoder", "refact",    "command-r",
                                                       "codeshell", "exaone",    "minerva-7b"};
constexpr std::array<std::string_view, 6> kLlama3Names{"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"};
constexpr std::array<std::string_view, 5> kCl100kNames{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe", "chatglm4"};
constexpr std::array<std::string_view, 8> kQwen2Names{"qwen2",     "qwen25", "qwen2.5", "deepseek-r1-qwen",
                                                      "stablelm2", "megrez", "hunyuan", "grok-2"};
constexpr std::array<std::string_view, 1> kQwen35Names{"qwen35"};
constexpr std::array<std::string_view, 4> kO200kNames{"gpt-4o", "o200k", "llama4", "minimax-m2"};
constexpr std::array<std::string_view, 1> kTekkenNames{"tekken"};
constexpr std::array<std::string_view, 1> kDeepseekLlmNames{"deepseek-llm"};
constexpr std::array<std::string_view, 1> kDeepseekCoderNames{"deepseek-coder"};
constexpr std::array<std::string_view, 2> kDeepseek3Names{"deepseek-v3", "hunyuan-dense"};
constexpr std::array<std::string_view, 1> kFalconNames{"falcon"};
constexpr std::array<std::string_view, 3> kBloomNames{"bloom", "poro-chat", "gpt3-finnish"};
constexpr std::array<std::string_view, 1> kVikingNames{"viking"};
constexpr std::array<std::string_view, 1> kDefaultNames{"default"};

constexpr std::array kRows{
    PreTokenizerRow{kSmollmNames, kSmollm, false, false},
    PreTokenizerRow{kGpt2Names, kGpt2, false, false},
    PreTokenizerRow{kLlama3Names, kLlama3, true, true},
    PreTokenizerRow{kCl100kNames, kLlama3, false, false},
    PreTokenizerRow{kQwen2Names, kQwen2, false, false},
    PreTokenizerRow{kQwen35Names, kQwen35, false, false},
    PreTokenizerRow{kO200kNames, kO200k, false, false},
    PreTokenizerRow{kTekkenNames, kTekken, true, true},
    PreTokenizerRow{kDeepseekLlmNames, kDeepseekLlm, false, true},
    PreTokenizerRow{kDeepseekCoderNames, kDeepseekCoder, false, true},
    PreTokenizerRow{kDeepseek3Names, kDeepseek3, false, true},
    PreTokenizerRow{kFalconNames, kFalcon, false, false},
    PreTokenizerRow{kBloomNames, kBloom, false, false},
    PreTokenizerRow{kVikingNames, kViking, false, false},
    PreTokenizerRow{kDefaultNames, kDefault, false, false},
};

}  // namespace

const PreTokenizerRow* find_pre_tokenizer(std::string_view name) {
  for (const auto& row : kRows) {
    for (const auto known : row.names) {
      if (known == name) return &row;
    }
  }
  return nullptr;
}

std::string pre_tokenizer_names() {
  std::string all;
  for (const auto& row : kRows) {
    for (const auto name : row.names) all += (all.empty() ? "" : ", ") + std::string(name);
  }
  return all;
}

PreTokenizer::PreTokenizer(const PreTokenizerRow& row) {
  for (const auto pattern : row.patterns) patterns_.push_back(std::make_unique<Pattern>(pattern));
}

PreTokenizer::~PreTokenizer() = default;

void PreTokenizer::split(std::string_view text, std::vector<std::string_view>& words) const {
  if (!text.empty()) split_from(0, text, words);
}

void PreTokenizer::split_from(size_t level, std::string_view piece, std::vector<std::string_view>& words) const {
  if (level == patterns_.size()) {
    words.push_back(piece);
    return;
  }
  size_t done = 0;
  for (size_t begin = 0, end = 0; done < piece.size() && patterns_[level]->match(piece, done, begin, end); done = end) {
    if (end == begin) break;
    if (begin > done) split_from(level + 1, piece.substr(done, begin - done), words);
    split_from(level + 1, piece.substr(begin, end - begin), words);
  }
  if (done < piece.size()) split_from(level + 1, piece.substr(done), words);
}

}  // namespace tern
