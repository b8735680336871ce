// Storage for strings that were decoded from a file and so do not lie in its mapping. Internal to formats.
//
// Views stay valid while storage() is held: the capacity is fixed at the start and never exceeded. JSON text is a safe
// capacity for everything decoded from it, as no escape is shorter than what it stands for.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tern {

class StringPool {
 public:
  explicit StringPool(size_t capacity) : text_(std::make_shared<std::string>()) { text_->reserve(capacity); }

  std::string_view add(std::string_view text) {
    TERN_CHECK(text.size() <= text_->capacity() - text_->size());
    const size_t at = text_->size();
    text_->append(text);
    return std::string_view(*text_).substr(at);
  }
  std::shared_ptr<const std::string> storage() const { return text_; }

 private:
  std::shared_ptr<std::string> text_;
};

}  // namespace tern
