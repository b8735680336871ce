#include "text/jinja/template.h"

#include <fmt/core.h>

#include "core/error.h"
#include "core/limits.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"

namespace tern::jinja {

struct Template::Tree {
  Body body;
};

Template::Template(std::string_view source) {
  if (source.size() > Limits::kTemplateBytes) {
    bad_input(fmt::format("[template] {} bytes, more than {}", source.size(), Limits::kTemplateBytes));
  }
  try {
    tree_ = std::make_unique<const Tree>(Tree{Parser(tokenize(source)).parse()});
  } catch (const Failure& failure) {
    bad_input("[template] " + printable(failure.message, 400));
  }
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

MarkedText Template::render(Variables variables, std::optional<std::tm> now) const {
  return Interpreter(tree_->body, std::move(variables), now).run();
}

}  // namespace tern::jinja
