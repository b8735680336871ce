#include "formats/safetensors_index.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "core/limits.h"
#include "formats/json_events.h"

namespace tern {
namespace {

// Reads {"weight_map": {tensor: file}} and passes over everything beside it.
class IndexVisitor : public JsonVisitor {
 public:
  IndexVisitor(const std::string& source, StringPool& pool) : source_(source), pool_(pool) {}

  void null() override { value("null"); }
  void boolean(bool) override { value("a boolean"); }
  void integer(int64_t) override { value("an integer"); }
  void number(double) override { value("a number"); }
  void string(std::string_view text) override;
  void key(std::string_view text) override;
  void begin_object() override { enter(); }
  void end_object() override { --depth_; }
  void begin_array() override { enter(); }
  void end_array() override { --depth_; }

  SafetensorsIndex index;
  bool map_seen = false;

 private:
  [[noreturn]] void refuse(std::string_view reason) const { bad_input(fmt::format("{}: {}", source_, reason)); }
  bool in_map() const { return in_map_ && depth_ == 2; }
  void value(std::string_view what) const {
    if (depth_ == 0) refuse("is not a JSON object");
    if (depth_ == 1 && in_map_) refuse("weight_map is not an object");
    if (in_map()) refuse(fmt::format("weight_map: {}: {} is not a file's name", printable(name_), what));
  }
  void enter();

  const std::string& source_;
  StringPool& pool_;
  uint64_t depth_ = 0;
  bool in_map_ = false;  // under the key weight_map
  std::string_view name_;
};

void IndexVisitor::enter() {
  if (in_map()) value("an object or array");
  ++depth_;
}

void IndexVisitor::key(std::string_view text) {
  if (depth_ == 1) {
    in_map_ = text == "weight_map";
    if (in_map_ && map_seen) refuse("weight_map appears twice");
    map_seen |= in_map_;
  } else if (in_map()) {
    if (index.tensors.size() == Limits::kTensors) {
      refuse(fmt::format("more tensors than the limit of {}", Limits::kTensors));
    }
    name_ = pool_.add(text);
  }
}

void IndexVisitor::string(std::string_view text) {
  if (!in_map()) return value("a string");
  const bool plain = !text.empty() && text[0] != '.' && text.find_first_of(std::string_view("/\\\0", 3)) == text.npos;
  if (!plain) {
    refuse(fmt::format("weight_map: {}: '{}' is not the name of a file of this folder", printable(name_),
                       printable(text)));
  }
  index.tensors.emplace_back(name_, pool_.add(text));
}

}  // namespace

SafetensorsIndex parse_safetensors_index(std::span<const std::byte> text, const std::string& source, StringPool& pool) {
  IndexVisitor visitor(source, pool);
  parse_json(text, source, visitor);
  SafetensorsIndex index = std::move(visitor.index);
  if (!visitor.map_seen) bad_input(source + ": weight_map is missing");
  if (index.tensors.empty()) bad_input(source + ": weight_map names no tensor");
  for (const auto& [name, file] : index.tensors) index.files.push_back(file);
  std::ranges::sort(index.files);
  index.files.erase(std::ranges::unique(index.files).begin(), index.files.end());
  if (index.files.size() > Limits::kShards) {
    bad_input(fmt::format("{}: {} files exceed the limit of {}", source, index.files.size(), Limits::kShards));
  }
  return index;
}

}  // namespace tern
