#include "core/error.h"
#include "text/jinja/parser.h"

namespace tern::jinja {

void Parser::refuse(const std::string& reason) const { raise("line " + std::to_string(now().line) + ": " + reason); }

bool Parser::take_operator(std::string_view text) {
  if (!now().is_operator(text)) return false;
  ++at_;
  return true;
}

bool Parser::take_name(std::string_view text) {
  if (!now().is_name(text)) return false;
  ++at_;
  return true;
}

void Parser::expect_operator(std::string_view text) {
  if (!take_operator(text)) refuse("expected '" + std::string(text) + "' before '" + printable(now().text) + "'");
}

std::string Parser::expect_name() {
  if (now().kind != TokenKind::kName) refuse("expected a name before '" + printable(now().text) + "'");
  return take().text;
}

void Parser::expect(TokenKind kind, std::string_view what) {
  if (now().kind != kind) refuse("expected " + std::string(what) + " before '" + printable(now().text) + "'");
  take();
}

std::unique_ptr<Node> Parser::node(NodeKind kind) const {
  auto made = std::make_unique<Node>();
  made->kind = kind;
  made->line = now().line;
  return made;
}

Body Parser::parse() {
  Body all = body({});
  if (now().kind != TokenKind::kEnd) refuse("'" + printable(ahead(1).text) + "' ends nothing");
  return all;
}

Body Parser::body(std::initializer_list<std::string_view> ends) {
  const Nested nested(*this);
  Body statements;
  while (now().kind != TokenKind::kEnd) {
    if (now().kind == TokenKind::kData) {
      statements.push_back(node(NodeKind::kData));
      statements.back()->data = MarkedText(take().text, true);
    } else if (now().kind == TokenKind::kExpressionBegin) {
      take();
      statements.push_back(node(NodeKind::kOutput));
      statements.back()->exprs.push_back(tuple());
      expect(TokenKind::kExpressionEnd, "'}}'");
    } else {
      const bool at_end = std::any_of(ends.begin(), ends.end(), [&](auto end) { return ahead(1).is_name(end); });
      if (at_end) return statements;
      expect(TokenKind::kBlockBegin, "a tag");
      statements.push_back(tag());
    }
  }
  if (ends.size() > 0) refuse("'" + std::string(*(ends.end() - 1)) + "' is missing");
  return statements;
}

void Parser::end_tag(std::string_view name) {
  expect(TokenKind::kBlockBegin, "a tag");
  if (!take_name(name)) refuse("expected '" + std::string(name) + "' before '" + printable(now().text) + "'");
  if (name == "endmacro" && now().kind == TokenKind::kName) take();  // the macro's name may be repeated
  expect(TokenKind::kBlockEnd, "'%}'");
}

Body Parser::body_to(std::string_view end) {
  expect(TokenKind::kBlockEnd, "'%}'");
  Body statements = body({end});
  end_tag(end);
  return statements;
}

std::unique_ptr<Node> Parser::tag() {
  const std::string name = expect_name();
  if (name == "if") return if_tag();
  if (name == "for") return for_tag();
  if (name == "set") return set_tag();
  if (name == "macro") return macro_tag();
  if (name == "call") return call_tag();
  if (name == "filter") return filter_tag();
  if (name == "with") return with_tag();
  if (name == "generation") {
    auto made = node(NodeKind::kScope);
    made->bodies.push_back(body_to("endgeneration"));
    return made;
  }
  if (name == "break" || name == "continue") {
    if (loops_ == 0) refuse("'" + name + "' outside a loop");
    auto made = node(name == "break" ? NodeKind::kBreak : NodeKind::kContinue);
    expect(TokenKind::kBlockEnd, "'%}'");
    return made;
  }
  refuse("the tag '" + printable(name) + "' is unknown");
}

std::unique_ptr<Node> Parser::if_tag() {
  auto made = node(NodeKind::kIf);
  while (true) {
    made->exprs.push_back(tuple(false));
    expect(TokenKind::kBlockEnd, "'%}'");
    made->bodies.push_back(body({"elif", "else", "endif"}));
    if (ahead(1).is_name("elif")) {
      at_ += 2;
      continue;
    }
    if (ahead(1).is_name("else")) {
      at_ += 2;
      made->bodies.push_back(body_to("endif"));
    } else {
      end_tag("endif");
    }
    return made;
  }
}

std::unique_ptr<Node> Parser::for_tag() {
  auto made = node(NodeKind::kFor);
  made->targets.push_back(target(false));
  if (!take_name("in")) refuse("expected 'in' before '" + printable(now().text) + "'");
  made->exprs.push_back(tuple(false));
  made->exprs.push_back(take_name("if") ? expression() : nullptr);
  made->recursive = take_name("recursive");
  expect(TokenKind::kBlockEnd, "'%}'");
  ++loops_;
  made->bodies.push_back(body({"else", "endfor"}));
  --loops_;
  if (ahead(1).is_name("else")) {
    at_ += 2;
    made->bodies.push_back(body_to("endfor"));
  } else {
    end_tag("endfor");
    made->bodies.emplace_back();
  }
  return made;
}

std::unique_ptr<Node> Parser::set_tag() {
  auto made = node(NodeKind::kSet);
  made->targets.push_back(target(true));
  if (take_operator("=")) {
    made->exprs.push_back(tuple());
    expect(TokenKind::kBlockEnd, "'%}'");
    return made;
  }
  made->kind = NodeKind::kSetBlock;
  ExprPtr value = make(ExprKind::kCaptured);
  made->exprs.push_back(filters(std::move(value)));
  made->bodies.push_back(body_to("endset"));
  return made;
}

std::unique_ptr<Node> Parser::macro_tag() {
  auto made = node(NodeKind::kMacro);
  made->macro.name = expect_name();
  made->macro.parameters = parameters();
  macro_body(made->macro, "endmacro");
  return made;
}

std::unique_ptr<Node> Parser::call_tag() {
  auto made = node(NodeKind::kCallBlock);
  made->macro.name = "caller";
  if (now().is_operator("(")) made->macro.parameters = parameters();
  made->exprs.push_back(expression());
  if (made->exprs[0]->kind != ExprKind::kCall) refuse("a call block without a call");
  macro_body(made->macro, "endcall");
  return made;
}

void Parser::macro_body(MacroDef& macro, std::string_view end) {
  MacroDef* const outer = std::exchange(macro_, &macro);
  const uint32_t outer_loops = std::exchange(loops_, 0);
  macro.body = body_to(end);
  macro_ = outer;
  loops_ = outer_loops;
}

std::vector<Parameter> Parser::parameters() {
  std::vector<Parameter> all;
  expect_operator("(");
  while (!take_operator(")")) {
    if (!all.empty()) expect_operator(",");
    Parameter parameter{expect_name(), nullptr};
    if (take_operator("=")) {
      parameter.fallback = expression();
    } else if (!all.empty() && all.back().fallback) {
      refuse("a parameter without a default follows one with a default");
    }
    all.push_back(std::move(parameter));
  }
  return all;
}

std::unique_ptr<Node> Parser::filter_tag() {
  auto made = node(NodeKind::kFilterBlock);
  made->exprs.push_back(filters(filter(make(ExprKind::kCaptured))));
  made->bodies.push_back(body_to("endfilter"));
  return made;
}

std::unique_ptr<Node> Parser::with_tag() {
  auto made = node(NodeKind::kWith);
  while (now().kind != TokenKind::kBlockEnd) {
    if (!made->targets.empty()) expect_operator(",");
    made->targets.push_back(target(false));
    expect_operator("=");
    made->exprs.push_back(expression());
  }
  made->bodies.push_back(body_to("endwith"));
  return made;
}

Target Parser::target(bool with_namespace) {
  Target first = single_target(with_namespace);
  if (!now().is_operator(",")) return first;
  Target all;
  all.parts.push_back(std::move(first));
  while (take_operator(",")) {
    if (now().is_name("in") || now().is_operator("=")) break;
    all.parts.push_back(single_target(with_namespace));
  }
  return all;
}

Target Parser::single_target(bool with_namespace) {
  if (take_operator("(")) {
    const Nested nested(*this);
    Target inside = target(with_namespace);
    expect_operator(")");
    return inside;
  }
  Target made;
  made.name = expect_name();
  for (const auto reserved : {"true", "false", "none", "True", "False", "None", "not", "in"}) {
    if (made.name == reserved) refuse("cannot assign to '" + made.name + "'");
  }
  if (with_namespace && take_operator(".")) made.attribute = expect_name();
  return made;
}

}  // namespace tern::jinja
