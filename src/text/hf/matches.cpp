#include "text/hf/matches.h"

#include "text/hf/regex.h"
#include "text/utf8.h"

namespace tern::hf {

Matches Matches::from(const JsonNode& pattern) {
  if (const auto literal = pattern.find("String")) return Matches(literal->string());
  const JsonNode regex = pattern.at("Regex");
  const std::string translated = pcre2_of_oniguruma(regex.string(), regex.where());
  return Matches(std::make_unique<const Pattern>(translated, regex.where()));
}

bool Matches::next(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  if (pattern_) return pattern_->match(text, from, begin, end);
  begin = text.find(literal_, from);
  end = begin + literal_.size();
  return !literal_.empty() && begin != text.npos;
}

// An empty match counts, but not right behind the one before.
void Matches::find_pattern(std::string_view text, std::vector<Stretch>& out) const {
  size_t done = 0, begin = 0, end = 0;
  bool matched = false;
  for (size_t from = 0; from <= text.size() && next(text, from, begin, end);) {
    if (begin == end && matched && end == done) {
      from = end < text.size() ? end + code_point_at(text, end).bytes : text.size() + 1;
      continue;
    }
    if (begin > done) out.push_back({done, begin, false});
    out.push_back({begin, end, true});
    done = from = end;
    matched = true;
  }
  if (done < text.size()) out.push_back({done, text.size(), false});
}

void Matches::find(std::string_view text, std::vector<Stretch>& out) const {
  out.clear();
  if (!is_) return find_pattern(text, out);
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (is_(point.value)) {
      if (at > done) out.push_back({done, at, false});
      out.push_back({at, at + point.bytes, true});
      done = at + point.bytes;
    }
    at += point.bytes;
  }
  if (done < text.size()) out.push_back({done, text.size(), false});
}

}  // namespace tern::hf
