// A compiled Jinja template: made once, rendered many times, from any thread. Rendering is limited in steps, depth and
// output (core/limits.h), and deterministic but for strftime_now.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"
#include "text/marked_text.h"

namespace tern::jinja {

class Template {
 public:
  using Variables = std::vector<std::pair<std::string, Value>>;

  // Throws a bad-input line "[template] line N: reason".
  explicit Template(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `now`: the local time that strftime_now sees; the clock's when absent. Throws a bad-input line when the template
  // raises, uses what is undefined, or goes beyond a limit.
  MarkedText render(Variables variables, std::optional<std::tm> now = std::nullopt) const;

 private:
  struct Tree;
  std::unique_ptr<const Tree> tree_;
};

}  // namespace tern::jinja
