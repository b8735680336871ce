// Template source -> tokens, with Jinja's rules on white space: trim_blocks and lstrip_blocks on (as transformers sets
// them), "-" and "+" beside a tag, one line end at the end of the source dropped, line ends unified.
//
// Grammar: https://jinja.palletsprojects.com/en/stable/templates/ ("Whitespace Control", "Escaping").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tern::jinja {

enum class TokenKind : uint8_t {
  kData,
  kExpressionBegin,  // {{
  kExpressionEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,  // text: the value, escapes resolved
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  int32_t line = 1;

  bool is(TokenKind k, std::string_view t) const { return kind == k && text == t; }
  bool is_name(std::string_view t) const { return is(TokenKind::kName, t); }
  bool is_operator(std::string_view t) const { return is(TokenKind::kOperator, t); }
};

// Raises Failure with the line in the message. The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

}  // namespace tern::jinja
