#include "formats/safetensors_header.h"

#include <fmt/core.h>

#include "core/error.h"
#include "formats/json_events.h"

namespace tern {
namespace {

// Follows the one form that a header has: {name: {dtype, shape: [..], data_offsets: [.., ..]}, __metadata__: {..}}.
class HeaderVisitor : public JsonVisitor {
 public:
  HeaderVisitor(const std::string& source, StringPool& pool) : source_(source), pool_(pool) {}

  void null() override { unexpected("null"); }
  void boolean(bool) override { unexpected("a boolean"); }
  void number(double) override { unexpected("a number that is not a 63-bit integer"); }
  void integer(int64_t value) override;
  void string(std::string_view value) override;
  void begin_object() override;
  void key(std::string_view value) override;
  void end_object() override;
  void begin_array() override;
  void end_array() override;

  SafetensorsHeader header;

 private:
  // Where the next event falls; the comments say what may come there.
  enum class Place {
    kStart,        // {
    kHeader,       // a name, }
    kEntry,        // { of a tensor
    kTensor,       // a field's name, }
    kDtype,        // string
    kShape,        // [
    kShapeList,    // integers, ]
    kOffsets,      // [
    kOffsetsList,  // integers, ]
    kFreeEntry,    // { of __metadata__
    kFreeText,     // a name, }
    kText          // string
  };
  enum Field : unsigned { kHasDtype = 1, kHasShape = 2, kHasOffsets = 4, kHasAll = 7 };

  [[noreturn]] void refuse(std::string_view reason) const;
  [[noreturn]] void unexpected(std::string_view what) const { refuse(fmt::format("{} is out of place", what)); }
  void begin_entry(std::string_view name);
  void begin_field(std::string_view name);
  void begin_text(std::string_view name);
  SafetensorsEntry& entry() { return header.entries.back(); }

  const std::string& source_;
  StringPool& pool_;
  Place place_ = Place::kStart;
  std::string_view subject_ = "header";  // what messages are about
  bool free_text_seen_ = false;
  unsigned fields_ = 0;  // of the tensor at hand
  size_t offset_count_ = 0;
};

void HeaderVisitor::refuse(std::string_view reason) const {
  bad_input(fmt::format("{}: {}: {}", source_, printable(subject_), reason));
}

void HeaderVisitor::integer(int64_t value) {
  if (place_ != Place::kShapeList && place_ != Place::kOffsetsList) unexpected("an integer");
  if (value < 0) refuse(fmt::format("{} is negative", value));
  if (place_ == Place::kShapeList) {
    if (entry().dim_count == Limits::kTensorDims) {
      refuse(fmt::format("its dimensions exceed the limit of {}", Limits::kTensorDims));
    }
    entry().dims[entry().dim_count++] = static_cast<uint64_t>(value);
  } else {
    if (offset_count_ == 2) refuse("data_offsets has more than two numbers");
    entry().offsets[offset_count_++] = static_cast<uint64_t>(value);
  }
}

void HeaderVisitor::string(std::string_view value) {
  if (place_ == Place::kDtype) {
    entry().dtype = pool_.add(value);
    place_ = Place::kTensor;
  } else if (place_ == Place::kText) {
    header.free_text.back().second = pool_.add(value);
    place_ = Place::kFreeText;
  } else {
    unexpected("a string");
  }
}

void HeaderVisitor::begin_object() {
  switch (place_) {
    case Place::kStart:
      place_ = Place::kHeader;
      return;
    case Place::kEntry:
      place_ = Place::kTensor;
      return;
    case Place::kFreeEntry:
      place_ = Place::kFreeText;
      return;
    default:
      unexpected("an object");
  }
}

void HeaderVisitor::key(std::string_view value) {
  switch (place_) {
    case Place::kHeader:
      return begin_entry(value);
    case Place::kTensor:
      return begin_field(value);
    case Place::kFreeText:
      return begin_text(value);
    default:
      unexpected("a key");
  }
}

void HeaderVisitor::begin_entry(std::string_view name) {
  if (name == "__metadata__") {
    subject_ = "__metadata__";
    if (free_text_seen_) refuse("appears twice");
    free_text_seen_ = true;
    place_ = Place::kFreeEntry;
    return;
  }
  subject_ = "tensor name";
  if (name.empty() || name.size() > Limits::kTensorNameBytes) {
    refuse(fmt::format("its length of {} bytes is not in [1, {}]", name.size(), Limits::kTensorNameBytes));
  }
  if (header.entries.size() == Limits::kTensors) {
    refuse(fmt::format("more tensors than the limit of {}", Limits::kTensors));
  }
  header.entries.emplace_back();
  entry().name = pool_.add(name);
  subject_ = entry().name;
  fields_ = 0;
  offset_count_ = 0;
  place_ = Place::kEntry;
}

void HeaderVisitor::begin_field(std::string_view name) {
  Field field = kHasDtype;
  if (name == "dtype") {
    place_ = Place::kDtype;
  } else if (name == "shape") {
    field = kHasShape;
    place_ = Place::kShape;
  } else if (name == "data_offsets") {
    field = kHasOffsets;
    place_ = Place::kOffsets;
  } else {
    refuse(fmt::format("unknown field {}", printable(name)));
  }
  if (fields_ & field) refuse(fmt::format("{} appears twice", name));
  fields_ |= field;
}

void HeaderVisitor::begin_text(std::string_view name) {
  if (header.free_text.size() == Limits::kMetadataEntries) {
    refuse(fmt::format("more entries than the limit of {}", Limits::kMetadataEntries));
  }
  header.free_text.emplace_back(pool_.add(name), "");
  place_ = Place::kText;
}

void HeaderVisitor::end_object() {
  if (place_ == Place::kTensor && fields_ != kHasAll) refuse("dtype, shape or data_offsets is missing");
  place_ = Place::kHeader;  // also after the header itself, where nothing follows
  subject_ = "header";
}

void HeaderVisitor::begin_array() {
  if (place_ == Place::kShape) {
    place_ = Place::kShapeList;
  } else if (place_ == Place::kOffsets) {
    place_ = Place::kOffsetsList;
  } else {
    unexpected("an array");
  }
}

void HeaderVisitor::end_array() {
  if (place_ == Place::kOffsetsList && offset_count_ != 2) refuse("data_offsets has fewer than two numbers");
  place_ = Place::kTensor;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> text, const std::string& source,
                                           StringPool& pool) {
  HeaderVisitor visitor(source, pool);
  parse_json(text, source, visitor);
  return std::move(visitor.header);
}

}  // namespace tern
