// Values as text, byte for byte as Python prints them: str(), repr() and json.dumps().
//
// Bytes of strings keep their marks; everything that is made here (numbers, brackets, quotes, escapes' backslashes) is
// untrusted, so that no control token can come out of data and punctuation together.
#pragma once

#include <optional>
#include <string>

#include "text/jinja/value.h"

namespace tern::jinja {

std::string print_float(double value);                      // the shortest digits that read back as the same value
MarkedText print_text(Budget& budget, const Value& value);  // str()
MarkedText print_repr(Budget& budget, const Value& value);  // repr()

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<MarkedText> indent;  // of one level; none: all on one line
  MarkedText item_separator{", ", false};
  MarkedText key_separator{": ", false};
};

// Raises when a value has no JSON form.
MarkedText print_json(Budget& budget, const Value& value, const JsonStyle& style);

}  // namespace tern::jinja
