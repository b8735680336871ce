#include "cli/bench_serve_prompts.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"

namespace tern {
namespace {

// Each is one token, with a space before it, of the byte-level vocabularies in use (GPT-2, Llama 3, Qwen 2, SmolLM2).
constexpr std::string_view kWordList =
    "time people way water day part number sound year work place thing name sentence man line boy farm "
    "end house world school head stand page country answer study plant food earth father mother door "
    "city tree hand port mile river car care book science room friend idea fish mountain base horse "
    "watch color face wood list bird body dog family song measure product wind question ship area rock "
    "order fire problem piece king space hour step ground interest table north south east west money map "
    "rain rule pull cold voice power town unit figure star box noun field rest beauty sea night picture "
    "play state island week machine note plan store job edge sign record sky glass joy winter sister "
    "fast brother instrument language shape heart weather month million finger dance summer wall love "
    "art key iron paper circle sun race window law bear egg ride cell matter square length engine "
    "position arm wide sail material forest trip office soft mouth exercise bone rail imagine flower "
    "village market century ear else gas company rope visit past oil blood touch grew mix team wire cost "
    "brown wear garden sent choose fell fit flow fair bank save control gentle woman captain practice "
    "separate doctor noon crop modern element hit student corner party supply whose locate ring "
    "character insect period radio spoke atom human history effect electric expect silver bread block "
    "spring case chance dark dictionary train blue wish drop develop speed count settle slip win dream "
    "evening condition feed tool total basic smell valley nor double seat continue ";

constexpr size_t count_words() {
  size_t words = 0;
  for (const char c : kWordList) words += c == ' ' ? 1 : 0;
  return words;
}

constexpr auto kWords = [] {
  std::array<std::string_view, count_words()> words;
  std::string_view rest = kWordList;
  for (std::string_view& word : words) {
    word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size() + 1);
  }
  return words;
}();

// Independent sequences of draws from one seed.
enum Stream : uint64_t { kPrefixes = 101, kPrompts };

}  // namespace

std::string random_words(uint64_t seed, int64_t count) {
  std::string out;
  out.reserve(static_cast<size_t>(std::max<int64_t>(count, 0)) * 6);
  for (int64_t i = 0; i < count; ++i) {
    out.push_back(' ');
    out.append(kWords[random_bits(seed, static_cast<uint64_t>(i)) % kWords.size()]);
  }
  return out;
}

TokenRate TokenRate::of(int64_t words_a, int64_t tokens_a, int64_t words_b, int64_t tokens_b) {
  TERN_CHECK(words_b > words_a);
  const double slope = static_cast<double>(tokens_b - tokens_a) / static_cast<double>(words_b - words_a);
  if (!(slope > 0.1)) return {};  // it counts no prompt tokens
  TokenRate out;
  out.per_word = std::abs(slope - 1) < kExact ? 1 : slope;
  out.fixed = std::max(0.0, static_cast<double>(tokens_a) - out.per_word * static_cast<double>(words_a));
  return out;
}

int64_t TokenRate::words(int64_t tokens, bool whole_prompt) const {
  const double own = static_cast<double>(tokens) - (whole_prompt ? fixed : 0);
  return std::max<int64_t>(1, std::llround(own / per_word));
}

std::string PromptMaker::prompt(const PlannedRequest& request, size_t index) const {
  std::string out;
  if (prefix_tokens_ > 0 && request.first_turn) {
    const uint64_t group = random_bits(seed_ + kPrefixes, static_cast<uint64_t>(request.prefix_group));
    out = random_words(group, rate_.words(prefix_tokens_, false));
  }
  out += random_words(random_bits(seed_ + kPrompts, index), rate_.words(request.input_tokens, request.first_turn));
  return out;
}

}  // namespace tern
