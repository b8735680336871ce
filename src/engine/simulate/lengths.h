// A distribution of lengths, as it is written on a command line. A plain value.
#pragma once

#include <cstdint>
#include <string_view>

namespace tern {

struct Lengths {
  enum class Kind : uint8_t { kUniform, kLogUniform };
  Kind kind = Kind::kUniform;
  int64_t low = 1, high = 1;

  // "128", "uniform:1:48" or "loguniform:10:500"; throws a bad-input error that names `flag`.
  static Lengths parse(std::string_view text, std::string_view flag);
  // `unit` in [0, 1) chooses one.
  int64_t draw(double unit) const;
};

}  // namespace tern
