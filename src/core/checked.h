// Arithmetic on numbers that come from a file or a request.
//
// Every size, count, offset and dimension read from outside goes through Checked before it is multiplied, added,
// rounded or used as an index; an overflow is an answer (no value), never a wrapped number. Wrapping sums are the one
// fault that kept coming back in GGUF readers, each time one expression further down.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace tern {

class Checked {
 public:
  constexpr Checked() = default;
  constexpr Checked(uint64_t value) : value_(value) {}  // NOLINT: implicit on purpose, so that formulas read as such

  constexpr bool ok() const { return ok_; }
  // The value, or nothing after an overflow.
  constexpr std::optional<uint64_t> value() const { return ok_ ? std::optional(value_) : std::nullopt; }
  constexpr uint64_t value_or(uint64_t other) const { return ok_ ? value_ : other; }
  // True when no overflow happened and the value is at most `limit`.
  constexpr bool at_most(uint64_t limit) const { return ok_ && value_ <= limit; }

  friend constexpr Checked operator+(Checked a, Checked b) {
    Checked r;
    r.ok_ = !__builtin_add_overflow(a.value_, b.value_, &r.value_) && a.ok_ && b.ok_;
    return r;
  }
  friend constexpr Checked operator-(Checked a, Checked b) {
    Checked r;
    r.ok_ = !__builtin_sub_overflow(a.value_, b.value_, &r.value_) && a.ok_ && b.ok_;
    return r;
  }
  friend constexpr Checked operator*(Checked a, Checked b) {
    Checked r;
    r.ok_ = !__builtin_mul_overflow(a.value_, b.value_, &r.value_) && a.ok_ && b.ok_;
    return r;
  }
  // Division by zero is an overflow too.
  friend constexpr Checked operator/(Checked a, Checked b) {
    Checked r;
    r.ok_ = a.ok_ && b.ok_ && b.value_ != 0;
    r.value_ = r.ok_ ? a.value_ / b.value_ : 0;
    return r;
  }
  // Rounded up to a multiple of `alignment` (> 0).
  constexpr Checked aligned_up(uint64_t alignment) const {
    if (alignment == 0) return overflow();
    const uint64_t rest = value_ % alignment;
    return rest == 0 ? *this : *this + Checked(alignment - rest);
  }
  static constexpr Checked overflow() {
    Checked r;
    r.ok_ = false;
    return r;
  }

 private:
  uint64_t value_ = 0;
  bool ok_ = true;
};

}  // namespace tern
