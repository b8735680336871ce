// Python's two ways to put values into a string: "%s" % value and "{}".format(value).
#include <algorithm>
#include <cstdio>

#include "text/jinja/interpreter.h"
#include "text/jinja/objects.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

constexpr int kWidest = 1000;  // of a number or padding

// One "%..." of a format: flags, width, precision, conversion.
struct Conversion {
  std::string flags;
  int width = 0;
  int precision = -1;
  char letter = 0;
};

Conversion parse_conversion(std::string_view format, size_t& at) {
  Conversion c;
  const auto number = [&] {
    int value = 0;
    while (at < format.size() && format[at] >= '0' && format[at] <= '9') {
      value = std::min(kWidest, value * 10 + (format[at++] - '0'));
    }
    return value;
  };
  while (at < format.size() && std::string_view("-+ 0#").find(format[at]) != std::string_view::npos) {
    c.flags.push_back(format[at++]);
  }
  c.width = number();
  if (at < format.size() && format[at] == '.') {
    ++at;
    c.precision = number();
  }
  if (at == format.size()) raise("incomplete format");
  c.letter = format[at++];
  return c;
}

std::string print_number(const Conversion& c, const Value& value) {
  if (value.is_undefined()) value.raise_undefined();
  if (!value.is_number()) raise(std::string("%") + c.letter + " needs a number, not " + std::string(value.type_name()));
  const bool whole = std::string_view("dixXo").find(c.letter) != std::string_view::npos;
  const std::string precision = c.precision < 0 ? "" : "." + std::to_string(std::min(c.precision, 100));
  const std::string letter(1, c.letter == 'i' ? 'd' : c.letter);
  const std::string spec =
      "%" + c.flags.substr(0, 8) + std::to_string(c.width) + precision + (whole ? "ll" : "") + letter;
  std::string text(kWidest + 512, '\0');
  const int length =
      whole
          ? std::snprintf(text.data(), text.size(), spec.c_str(),
                          static_cast<long long>(value.is_whole() ? value.whole() : static_cast<int64_t>(value.real())))
          : std::snprintf(text.data(), text.size(), spec.c_str(), value.real());
  text.resize(static_cast<size_t>(std::clamp(length, 0, static_cast<int>(text.size()) - 1)));
  return text;
}

MarkedText padded(const Conversion& c, MarkedText text) {
  if (c.precision >= 0) {
    const auto starts = code_point_starts(text.text);
    if (static_cast<size_t>(c.precision) + 1 < starts.size()) text = text.substr(0, starts[c.precision]);
  }
  const auto points = static_cast<int>(std::min<size_t>(count_code_points(text.text), kWidest));
  const MarkedText padding(std::string(static_cast<size_t>(std::max(0, c.width - points)), ' '), false);
  MarkedText out = c.flags.find('-') != std::string::npos ? text : padding;
  out.append(c.flags.find('-') != std::string::npos ? padding : text);
  return out;
}

}  // namespace

MarkedText format_percent(Budget& budget, const MarkedText& format, const Arguments& values) {
  MarkedText out;
  size_t next = 0;
  for (size_t at = 0; at < format.size();) {
    const size_t percent = std::min(format.text.find('%', at), format.size());
    out.append(format, at, percent - at);
    if (percent == format.size()) break;
    at = percent + 1;
    const Conversion c = parse_conversion(format.text, at);
    if (c.letter == '%') {
      out.append(format, at - 1, 1);
      continue;
    }
    if (std::string_view("srdixXoeEfFgG").find(c.letter) == std::string_view::npos) {
      raise("unsupported format character '" + std::string(1, c.letter) + "'");
    }
    if (next >= values.positional.size()) raise("not enough arguments for format string");
    const Value& value = values.positional[next++];
    if (c.letter == 's' || c.letter == 'r') {
      out.append(padded(c, c.letter == 's' ? print_text(budget, value) : print_repr(budget, value)));
    } else {
      out.append(print_number(c, value), false);
    }
    budget.spend_bytes(out.size());
  }
  if (next < values.positional.size()) raise("not all arguments converted during string formatting");
  return out;
}

MarkedText format_braces(Interpreter& interpreter, const MarkedText& format, const Arguments& values) {
  MarkedText out;
  size_t next = 0;
  const auto argument = [&](std::string_view name) -> const Value& {
    const bool number = name.find_first_not_of("0123456789") == name.npos && name.size() < 6;
    if (number) {
      const size_t index = name.empty() ? next++ : static_cast<size_t>(std::stoul(std::string(name)));
      if (index < values.positional.size()) return values.positional[index];
    }
    for (const auto& [known, value] : values.named) {
      if (known == name) return value;
    }
    raise("no argument '" + std::string(name) + "' for the format string");
  };
  for (size_t at = 0; at < format.size();) {
    const char c = format.text[at];
    if ((c == '{' || c == '}') && at + 1 < format.size() && format.text[at + 1] == c) {
      out.append(format, at, 1);
      at += 2;
    } else if (c == '{') {
      const size_t end = format.text.find('}', at);
      const std::string_view name = std::string_view(format.text).substr(at + 1, end - at - 1);
      if (end == std::string::npos) raise("expected '}' before end of string");
      if (name.find_first_of(":!.[{") != name.npos) raise("format(): only {}, {0} and {name} are supported");
      out.append(interpreter.text_of(argument(name)));
      interpreter.budget().spend_bytes(out.size());
      at = end + 1;
    } else if (c == '}') {
      raise("single '}' encountered in format string");
    } else {
      const size_t end = std::min(format.text.find_first_of("{}", at), format.size());
      out.append(format, at, end - at);
      at = end;
    }
  }
  return out;
}

}  // namespace tern::jinja
