// Filters on text. What is not a string is printed first, as Jinja does.
#include <algorithm>
#include <array>

#include "text/jinja/filters.h"
#include "text/jinja/strings.h"
#include "text/utf8.h"

namespace tern::jinja {
namespace {

template <MarkedText (*map)(const MarkedText&)>
Value mapped(Interpreter& in, const Value& input, const Arguments& arguments) {
  Bound(arguments, "filter", {});
  return Value::string(map(in.text_of(input)));
}

MarkedText title_words(const MarkedText& text) {
  return title(text,
               [](char32_t c) { return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<'; });
}

Value trim(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "trim", {"chars"});
  const bool spaces = !bound.get(0) || bound.get(0)->is_none();
  return Value::string(strip(in.text_of(input), Side::kBoth, spaces ? nullptr : &bound.text(0)));
}

Value replaced(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "replace", {"old", "new", "count"});
  const bool all = !bound.get(2) || bound.get(2)->is_none();
  return Value::string(replace(in.budget(), in.text_of(input), in.text_of(bound.required(0)),
                               in.text_of(bound.required(1)), all ? -1 : bound.whole_or(2, -1)));
}

MarkedText escaped(const MarkedText& text) {
  MarkedText out;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text.text[at];
    const std::string_view entity = c == '&'    ? "&amp;"
                                    : c == '<'  ? "&lt;"
                                    : c == '>'  ? "&gt;"
                                    : c == '"'  ? "&#34;"
                                    : c == '\'' ? "&#39;"
                                                : std::string_view(&c, 1);
    out.append(entity, text.trusted[at] != 0);
  }
  return out;
}

Value escape(Interpreter& in, const Value& input, const Arguments&) {
  MarkedText out = escaped(in.text_of(input));
  in.budget().spend_bytes(out.size());
  return Value::string(std::move(out));
}

Value string(Interpreter& in, const Value& input, const Arguments&) { return Value::string(in.text_of(input)); }

Value format(Interpreter& in, const Value& input, const Arguments& arguments) {
  return Value::string(format_percent(in.budget(), in.text_of(input), arguments));
}

Value indent(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "indent", {"width", "first", "blank"});
  const bool by_text = bound.get(0) && bound.get(0)->is_string();
  const MarkedText space = by_text ? bound.text(0) : repeat(in.budget(), MarkedText(" ", true), bound.whole_or(0, 4));
  const MarkedText text = in.text_of(input);
  MarkedText ended = text;
  ended.append("\n", true);  // so that a last line without an end counts as one
  const auto lines = split_lines(ended, false);
  in.budget().spend_bytes(text.size() + lines.size() * (space.size() + 1));
  MarkedText out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.append("\n", true);
    const bool indents = i == 0 ? bound.truth_or(1, false) : bound.truth_or(2, false) || !lines[i].empty();
    if (indents) out.append(space);
    out.append(lines[i]);
  }
  return Value::string(std::move(out));
}

Value truncate(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "truncate", {"length", "killwords", "end", "leeway"});
  constexpr int64_t kLeeway = 5;  // Jinja's policy
  const MarkedText text = in.text_of(input);
  const MarkedText end = bound.get(2) ? bound.text(2) : MarkedText("...", true);
  const int64_t length = bound.whole_or(0, 255);
  const auto starts = code_point_starts(text.text);
  const auto points = static_cast<int64_t>(starts.size()) - 1;
  const int64_t leeway = bound.get(3) && bound.get(3)->is_none() ? kLeeway : bound.whole_or(3, kLeeway);
  const auto end_points = static_cast<int64_t>(count_code_points(end.text));
  if (length < end_points || leeway < 0) raise("truncate(): length and leeway are too small");
  if (points - leeway <= length) return Value::string(text);
  MarkedText out = text.substr(0, starts[static_cast<size_t>(length - end_points)]);
  if (!bound.truth_or(1, false)) {
    if (const size_t space = out.text.rfind(' '); space != std::string::npos) out = out.substr(0, space);
  }
  out.append(end);
  return Value::string(std::move(out));
}

Value center(Interpreter& in, const Value& input, const Arguments& arguments) {
  const Bound bound(arguments, "center", {"width"});
  const MarkedText text = in.text_of(input);
  const int64_t width = bound.whole_or(0, 80);
  const int64_t missing = std::max<int64_t>(0, width - static_cast<int64_t>(count_code_points(text.text)));
  const int64_t left = missing / 2 + (missing & width & 1);
  const MarkedText space(" ", true);
  MarkedText out = repeat(in.budget(), space, left);
  out.append(text);
  out.append(repeat(in.budget(), space, missing - left));
  return Value::string(std::move(out));
}

Value word_count(Interpreter& in, const Value& input, const Arguments&) {
  const MarkedText text = in.text_of(input);
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text.text, at);
    const bool letter = is_letter(point.value) || is_digit(point.value) || point.value == '_';
    if (letter && !inside) ++words;
    inside = letter;
    at += point.bytes;
  }
  return Value::integer(words);
}

Value strip_tags(Interpreter& in, const Value& input, const Arguments&) {
  const MarkedText text = in.text_of(input);
  MarkedText out;
  for (size_t at = 0; at < text.size();) {
    if (text.text.compare(at, 4, "<!--") == 0) {
      const size_t end = text.text.find("-->", at);
      if (end != std::string::npos) {
        at = end + 3;
        continue;
      }
    }
    const size_t end = text.text[at] == '<' ? text.text.find('>', at) : std::string::npos;
    if (text.text[at] == '<' && end == std::string::npos) {
      out.append(text, at, std::string::npos);
      break;
    }
    if (end != std::string::npos) {
      at = end + 1;
    } else {
      out.append(text, at++, 1);
    }
  }
  MarkedText words;
  for (const auto& word : split(in.budget(), out, nullptr, -1, false)) {
    if (!words.empty()) words.append(" ", true);
    words.append(word.text());
  }
  return Value::string(std::move(words));
}

MarkedText quoted_for_url(const MarkedText& text, std::string_view safe) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  MarkedText out;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text.text[at]);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 || safe.find(static_cast<char>(byte)) != safe.npos);
    if (plain) {
      out.append(text, at, 1);
    } else {
      const char code[] = {'%', kDigits[byte >> 4], kDigits[byte & 15]};
      out.append({code, 3}, text.trusted[at] != 0);
    }
  }
  return out;
}

Value url_encode(Interpreter& in, const Value& input, const Arguments&) {
  if (!input.is_dict()) {
    const MarkedText text = in.text_of(input);
    in.budget().spend_bytes(text.size() * 3);
    return Value::string(quoted_for_url(text, "_.-~/"));
  }
  MarkedText out;
  for (const auto& [key, value] : input.dict().entries()) {
    if (!out.empty()) out.append("&", true);
    out.append(quoted_for_url(in.text_of(key), "_.-~"));
    out.append("=", true);
    out.append(quoted_for_url(in.text_of(value), "_.-~"));
    in.budget().spend_bytes(out.size());
  }
  return Value::string(std::move(out));
}

constexpr std::array kRows{
    FilterRow{"trim", trim},
    FilterRow{"upper", mapped<upper>},
    FilterRow{"lower", mapped<lower>},
    FilterRow{"title", mapped<title_words>},
    FilterRow{"capitalize", mapped<capitalize>},
    FilterRow{"replace", replaced},
    FilterRow{"escape", escape},
    FilterRow{"e", escape},
    FilterRow{"forceescape", escape},
    FilterRow{"string", string},
    FilterRow{"safe", string},
    FilterRow{"format", format},
    FilterRow{"indent", indent},
    FilterRow{"truncate", truncate},
    FilterRow{"center", center},
    FilterRow{"wordcount", word_count},
    FilterRow{"striptags", strip_tags},
    FilterRow{"urlencode", url_encode},
};

}  // namespace

std::span<const FilterRow> text_filters() { return kRows; }

}  // namespace tern::jinja
