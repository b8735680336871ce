#include "core/bounded_reader.h"

#include "core/error.h"

namespace tern {

const std::byte* BoundedReader::take(uint64_t count, std::string_view field) {
  if (count > remaining()) {
    refuse(field, "needs " + std::to_string(count) + " bytes, " + std::to_string(remaining()) + " left");
  }
  const std::byte* at = bytes_.data() + offset_;
  offset_ += count;
  return at;
}

void BoundedReader::refuse(std::string_view field, std::string_view reason) const {
  bad_input(source_ + ": " + printable(field) + " at byte " + std::to_string(offset_) + ": " + std::string(reason));
}

}  // namespace tern
