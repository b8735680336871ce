#include "text/jinja/strings.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "text/utf8.h"

namespace tern::jinja {
namespace {

utf8proc_category_t category(char32_t point) { return utf8proc_category(static_cast<utf8proc_int32_t>(point)); }

// Appends one code point's replacement with the mark of its first byte.
template <typename Map>
MarkedText map_points(const MarkedText& text, Map map) {
  MarkedText out;
  out.text.reserve(text.size());
  out.trusted.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text.text, at);
    if (point.status != Utf8Status::kValid) {
      out.append(text, at, 1);
      ++at;
      continue;
    }
    const size_t before = out.text.size();
    map(out.text, point.value);
    bool trusted = true;
    for (uint32_t i = 0; i < point.bytes; ++i) trusted = trusted && text.trusted[at + i] != 0;
    out.trusted.append(out.text.size() - before, trusted ? 1 : 0);
    at += point.bytes;
  }
  return out;
}

void append_upper(std::string& out, char32_t point) {
  if (point == 0xDF) {  // the one common letter whose capital is two
    out += "SS";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(point))));
  }
}

void append_title(std::string& out, char32_t point) {
  if (point == 0xDF) {
    out += "Ss";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(point))));
  }
}

void append_lower(std::string& out, char32_t point) {
  if (point == 0x130) {  // İ: an i and a combining dot
    out += "i\xCC\x87";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point))));
  }
}

struct Cut {
  size_t begin, end;
};

std::vector<Cut> cut_at_spaces(const std::string& text, int64_t count) {
  std::vector<Cut> parts;
  const auto starts = code_point_starts(text);
  const size_t points = starts.size() - 1;
  const auto space = [&](size_t i) { return is_space(code_point_at(text, starts[i]).value); };
  for (size_t i = 0; i < points;) {
    if (space(i)) {
      ++i;
      continue;
    }
    size_t end = i;
    if (count == 0) {  // the rest, less the white space at its end
      end = points;
      while (space(end - 1)) --end;
      parts.push_back({starts[i], starts[end]});
      break;
    }
    while (end < points && !space(end)) ++end;
    parts.push_back({starts[i], starts[end]});
    i = end;
    --count;
  }
  return parts;
}

std::vector<Cut> cut_at(const std::string& text, const std::string& separator, int64_t count) {
  std::vector<Cut> parts;
  size_t begin = 0;
  while (count != 0) {
    const size_t at = find_bytes(text, separator, begin);
    if (at == std::string::npos) break;
    parts.push_back({begin, at});
    begin = at + separator.size();
    --count;
  }
  parts.push_back({begin, text.size()});
  return parts;
}

std::vector<Cut> cut_from_right(const std::string& text, const std::string& separator, int64_t count) {
  std::vector<Cut> parts;
  size_t end = text.size();
  while (count != 0 && end >= separator.size()) {
    size_t at = end - separator.size();  // walks back byte by byte: at most one compare of the separator each
    while (text.compare(at, separator.size(), separator) != 0 && at > 0) --at;
    if (text.compare(at, separator.size(), separator) != 0) break;
    parts.push_back({at + separator.size(), end});
    end = at;
    --count;
  }
  parts.push_back({0, end});
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

std::vector<uint32_t> code_point_starts(std::string_view text) {
  std::vector<uint32_t> starts;
  starts.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    starts.push_back(static_cast<uint32_t>(at));
    const CodePoint point = code_point_at(text, at);
    at += point.status == Utf8Status::kValid ? point.bytes : 1;
  }
  starts.push_back(static_cast<uint32_t>(text.size()));
  return starts;
}

size_t count_code_points(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    const CodePoint point = code_point_at(text, at);
    at += point.status == Utf8Status::kValid ? point.bytes : 1;
  }
  return count;
}

std::vector<Value> characters(Budget& budget, const MarkedText& text) {
  const auto starts = code_point_starts(text.text);
  budget.spend_elements(4 * (starts.size() - 1));  // each is a string of its own
  std::vector<Value> all;
  all.reserve(starts.size() - 1);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    all.push_back(Value::string(text.substr(starts[i], starts[i + 1] - starts[i])));
  }
  return all;
}

bool is_space(char32_t point) {
  if (point < 0x80) return (point >= 9 && point <= 13) || (point >= 0x1C && point <= 0x20);
  return point == 0x85 || category(point) == UTF8PROC_CATEGORY_ZS || point == 0x2028 || point == 0x2029;
}

bool is_cased_upper(char32_t point) { return category(point) == UTF8PROC_CATEGORY_LU; }
bool is_cased_lower(char32_t point) { return category(point) == UTF8PROC_CATEGORY_LL; }

bool is_letter(char32_t point) {
  const auto kind = category(point);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(char32_t point) { return category(point) == UTF8PROC_CATEGORY_ND; }

bool is_printable(char32_t point) {
  if (point < 0x80) return point >= 0x20 && point < 0x7F;
  const auto kind = category(point);
  return kind != UTF8PROC_CATEGORY_CN && kind < UTF8PROC_CATEGORY_ZS;
}

size_t find_bytes(std::string_view text, std::string_view wanted, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (wanted.empty()) return from;
  const void* at = memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
  return at ? static_cast<size_t>(static_cast<const char*>(at) - text.data()) : std::string_view::npos;
}

MarkedText strip(const MarkedText& text, Side side, const MarkedText* characters) {
  const auto starts = code_point_starts(text.text);
  std::vector<char32_t> wanted;
  if (characters) {
    for (size_t at = 0; at < characters->size();) {
      const CodePoint point = code_point_at(characters->text, at);
      wanted.push_back(point.value);
      at += point.bytes;
    }
    std::sort(wanted.begin(), wanted.end());
  }
  const auto goes = [&](size_t i) {
    const char32_t point = code_point_at(text.text, starts[i]).value;
    return characters ? std::binary_search(wanted.begin(), wanted.end(), point) : is_space(point);
  };
  size_t begin = 0, end = starts.size() - 1;
  while (side != Side::kRight && begin < end && goes(begin)) ++begin;
  while (side != Side::kLeft && begin < end && goes(end - 1)) --end;
  return text.substr(starts[begin], starts[end] - starts[begin]);
}

MarkedText upper(const MarkedText& text) { return map_points(text, append_upper); }
MarkedText lower(const MarkedText& text) { return map_points(text, append_lower); }

MarkedText capitalize(const MarkedText& text) {
  bool first = true;
  return map_points(text, [&](std::string& out, char32_t point) {
    first ? append_title(out, point) : append_lower(out, point);
    first = false;
  });
}

MarkedText title(const MarkedText& text, const std::function<bool(char32_t)>& separates) {
  bool begins = true;
  return map_points(text, [&](std::string& out, char32_t point) {
    begins ? append_title(out, point) : append_lower(out, point);
    begins = separates(point);
  });
}

MarkedText replace(Budget& budget, const MarkedText& text, const MarkedText& from, const MarkedText& to,
                   int64_t count) {
  MarkedText out;
  size_t done = 0;
  const auto put = [&](size_t until) {
    out.append(text, done, until - done);
    out.append(to);
    budget.spend_bytes(to.size());
    if (out.size() > Limits::kTemplateOutputBytes) budget.spend_bytes(out.size());
    done = until;
  };
  if (from.empty()) {  // between all code points, and at both ends
    for (const uint32_t start : code_point_starts(text.text)) {
      if (count-- == 0) break;
      put(start);
    }
  } else {
    while (count-- != 0) {
      const size_t at = find_bytes(text.text, from.text, done);
      if (at == std::string::npos) break;
      put(at);
      done += from.size();
    }
  }
  out.append(text, done, std::string::npos);
  budget.spend_bytes(out.size());
  return out;
}

std::vector<Value> split(Budget& budget, const MarkedText& text, const MarkedText* separator, int64_t count,
                         bool from_right) {
  if (separator && separator->empty()) raise("empty separator");
  std::vector<Cut> cuts;
  if (separator && from_right) budget.spend(text.size() / 64 * separator->size());  // cut_from_right's worst case
  if (!separator) {
    if (from_right && count >= 0) raise("rsplit() without a separator takes no maximum");
    cuts = cut_at_spaces(text.text, count);
  } else {
    cuts = from_right ? cut_from_right(text.text, separator->text, count) : cut_at(text.text, separator->text, count);
  }
  budget.spend_elements(4 * cuts.size());
  std::vector<Value> parts;
  for (const auto [begin, end] : cuts) parts.push_back(Value::string(text.substr(begin, end - begin)));
  return parts;
}

std::vector<MarkedText> split_lines(const MarkedText& text, bool keep_ends) {
  std::vector<MarkedText> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text.text, at);
    const char32_t c = point.status == Utf8Status::kValid ? point.value : 0;
    size_t end = at + (point.status == Utf8Status::kValid ? point.bytes : 1);
    const bool breaks = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (breaks) {
      if (c == '\r' && end < text.size() && text.text[end] == '\n') ++end;
      lines.push_back(text.substr(begin, (keep_ends ? end : at) - begin));
      begin = end;
    }
    at = end;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

MarkedText repeat(Budget& budget, const MarkedText& text, int64_t count) {
  MarkedText out;
  if (count <= 0 || text.empty()) return out;
  if (static_cast<uint64_t>(count) > Limits::kTemplateOutputBytes) budget.spend_bytes(static_cast<uint64_t>(count));
  budget.spend_bytes(static_cast<uint64_t>(count) * text.size());
  for (int64_t i = 0; i < count; ++i) out.append(text);
  return out;
}

}  // namespace tern::jinja
