#include "formats/hf_config.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "core/limits.h"
#include "formats/json_events.h"
#include "formats/string_pool.h"

namespace tern {
namespace {

// A joined key. Nested keys repeat what encloses them, so this also bounds what a small file can grow to.
constexpr size_t kJoinedKeyBytes = 1024;

// An object or array that has begun.
struct Frame {
  size_t path_bytes = 0;     // its own key is the first path_bytes of the path
  uint64_t array_depth = 0;  // arrays directly inside one another, this one included; 0 for an object
  bool mixed = false;        // an array of several kinds, of objects or with null: only its size is kept
  MetadataArray array;
};

class ConfigVisitor : public JsonVisitor {
 public:
  ConfigVisitor(const std::string& source, std::string_view prefix, StringPool& pool, Metadata& metadata)
      : source_(source), path_(prefix), prefix_bytes_(prefix.size()), pool_(pool), metadata_(metadata) {}

  void null() override;
  void boolean(bool value) override { scalar(&MetadataArray::booleans, value); }
  void integer(int64_t value) override;
  void number(double value) override;
  void string(std::string_view value) override { scalar(&MetadataArray::strings, pool_.add(value)); }
  void begin_object() override;
  void key(std::string_view value) override;
  void end_object() override;
  void begin_array() override;
  void end_array() override;

 private:
  [[noreturn]] void refuse(std::string_view reason) const;
  bool in_array() const { return !frames_.empty() && frames_.back().array_depth > 0; }
  void set(MetadataValue value);
  void enter(uint64_t array_depth);
  void extend_path(std::string_view part);
  template <typename T>
  void scalar(std::vector<T> MetadataArray::* elements, T value);
  template <typename T>
  void append(std::vector<T> MetadataArray::* elements, T value);
  void append_mixed();

  const std::string& source_;
  std::string path_;
  size_t prefix_bytes_;
  StringPool& pool_;
  Metadata& metadata_;
  std::vector<Frame> frames_;
  uint64_t arrays_ = 0;
};

void ConfigVisitor::refuse(std::string_view reason) const {
  bad_input(fmt::format("{}: {}: {}", source_, printable(path_), reason));
}

void ConfigVisitor::set(MetadataValue value) {
  if (frames_.empty()) bad_input(source_ + ": is not a JSON object");
  if (metadata_.has(path_)) refuse("appears twice");
  if (metadata_.keys().size() >= Limits::kMetadataEntries) {
    refuse(fmt::format("more entries than the limit of {}", Limits::kMetadataEntries));
  }
  metadata_.set(path_, std::move(value));
}

template <typename T>
void ConfigVisitor::scalar(std::vector<T> MetadataArray::* elements, T value) {
  if (in_array()) {
    append(elements, value);
  } else {
    set({value});
  }
}

// An array keeps its elements while they are all of one kind.
template <typename T>
void ConfigVisitor::append(std::vector<T> MetadataArray::* elements, T value) {
  Frame& frame = frames_.back();
  std::vector<T>& values = frame.array.*elements;
  if (frame.mixed || values.size() != frame.array.size) return append_mixed();
  if (frame.array.size == Limits::kArrayElements) {
    refuse(fmt::format("more elements than the limit of {}", Limits::kArrayElements));
  }
  values.push_back(std::move(value));
  ++frame.array.size;
}

void ConfigVisitor::append_mixed() {
  Frame& frame = frames_.back();
  const uint64_t size = frame.array.size + 1;
  frame.array = {};
  frame.array.size = size;
  frame.mixed = true;
}

void ConfigVisitor::null() {
  if (in_array()) append_mixed();
}

void ConfigVisitor::integer(int64_t value) {
  if (in_array() && !frames_.back().array.floats.empty()) return number(static_cast<double>(value));
  scalar(&MetadataArray::integers, value);
}

// [1, 2.5] is an array of numbers: the integers before the first fraction follow it.
void ConfigVisitor::number(double value) {
  if (in_array() && !frames_.back().array.integers.empty()) {
    MetadataArray& array = frames_.back().array;
    array.floats.assign(array.integers.begin(), array.integers.end());
    array.integers.clear();
  }
  scalar(&MetadataArray::floats, value);
}

void ConfigVisitor::extend_path(std::string_view part) {
  path_.resize(frames_.back().path_bytes);
  if (path_.size() > prefix_bytes_) path_ += '.';
  if (part.size() > kJoinedKeyBytes - std::min(kJoinedKeyBytes, path_.size())) {
    refuse(fmt::format("the joined key exceeds the limit of {} bytes", kJoinedKeyBytes));
  }
  path_ += part;
}

void ConfigVisitor::key(std::string_view value) { extend_path(value); }

void ConfigVisitor::enter(uint64_t array_depth) {
  if (in_array()) extend_path(std::to_string(frames_.back().array.size));
  frames_.emplace_back();
  frames_.back().path_bytes = path_.size();
  frames_.back().array_depth = array_depth;
}

void ConfigVisitor::begin_object() { enter(0); }

void ConfigVisitor::end_object() {
  frames_.pop_back();
  if (in_array()) append_mixed();
}

void ConfigVisitor::begin_array() {
  if (frames_.empty()) bad_input(source_ + ": is not a JSON object");
  const uint64_t depth = frames_.back().array_depth + 1;
  if (depth > Limits::kArrayDepth) refuse(fmt::format("array depth exceeds the limit of {}", Limits::kArrayDepth));
  if (++arrays_ > Limits::kMetadataEntries) {
    refuse(fmt::format("more arrays than the limit of {}", Limits::kMetadataEntries));
  }
  enter(depth);
}

void ConfigVisitor::end_array() {
  MetadataArray array = std::move(frames_.back().array);
  path_.resize(frames_.back().path_bytes);
  frames_.pop_back();
  if (in_array()) {
    append(&MetadataArray::arrays, std::move(array));
  } else {
    set({std::move(array)});
  }
}

}  // namespace

void read_config(std::span<const std::byte> text, const std::string& path, std::string_view prefix,
                 Checkpoint& checkpoint) {
  const std::string source = "[config] " + printable(path, 4096);
  if (text.size() > Limits::kConfigBytes) {
    bad_input(fmt::format("{}: {} bytes exceed the limit of {}", source, text.size(), Limits::kConfigBytes));
  }
  StringPool pool(text.size());
  ConfigVisitor visitor(source, prefix, pool, checkpoint.metadata);
  parse_json(text, source, visitor);
  checkpoint.strings.push_back(pool.storage());
}

}  // namespace tern
