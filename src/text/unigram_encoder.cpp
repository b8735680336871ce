#include "text/unigram_encoder.h"

#include "text/marked_spaces.h"
#include "text/utf8.h"

namespace tern {
namespace {

std::string without_extra_spaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out.push_back(c);
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace

void UnigramEncoder::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::string normal = rules_.apply(replace_invalid_utf8(text), &user_defined_);
  if (options_.remove_extra_spaces) normal = without_extra_spaces(normal);
  if (normal.empty()) return;
  std::string_view marked = normal = with_spaces_marked(normal, options_.add_space_prefix);
  while (options_.remove_extra_spaces && marked.ends_with(kMarkedSpace)) marked.remove_suffix(kMarkedSpace.size());
  pieces_.encode(marked, ids);
}

std::string UnigramEncoder::bytes_of(std::string_view piece, bool) const { return with_spaces_back(piece); }

}  // namespace tern
