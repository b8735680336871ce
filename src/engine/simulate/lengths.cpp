#include "engine/simulate/lengths.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

bool parse_length(std::string_view text, int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out >= 1 &&
         out <= static_cast<int64_t>(Limits::kContext);
}

}  // namespace

Lengths Lengths::parse(std::string_view text, std::string_view flag) {
  const auto refuse = [&]() {
    bad_input("[simulate] " + std::string(flag) + " " + printable(text) +
              " is not N, uniform:LOW:HIGH or loguniform:LOW:HIGH with 1 <= LOW <= HIGH <= " +
              std::to_string(Limits::kContext));
  };
  Lengths out;
  const size_t first = text.find(':'), last = text.rfind(':');
  if (first == std::string_view::npos) {
    if (!parse_length(text, out.low)) refuse();
    out.high = out.low;
    return out;
  }
  const std::string_view kind = text.substr(0, first);
  if (kind == "loguniform") {
    out.kind = Kind::kLogUniform;
  } else if (kind != "uniform") {
    refuse();
  }
  if (first == last || !parse_length(text.substr(first + 1, last - first - 1), out.low) ||
      !parse_length(text.substr(last + 1), out.high) || out.low > out.high) {
    refuse();
  }
  return out;
}

int64_t Lengths::draw(double unit) const {
  if (kind == Kind::kUniform) return low + static_cast<int64_t>(unit * static_cast<double>(high - low + 1));
  const double ratio = static_cast<double>(high) / static_cast<double>(low);
  return std::min(high, static_cast<int64_t>(std::llround(static_cast<double>(low) * std::pow(ratio, unit))));
}

}  // namespace tern
