// The key-value pairs of a GGUF file. Internal to the gguf reader.
//
// Arrays of numbers and strings are checked and left as they lie in the file until they are asked for.
//
// Bounds of one file together: as many array elements as Limits::kArrayElements and as many arrays as
// Limits::kMetadataEntries, so that memory stays proportional to the file and below a few hundred MB.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/bounded_reader.h"
#include "formats/metadata.h"

namespace tern {

inline constexpr std::string_view kAlignmentKey = "general.alignment";

class GgufValueReader {
 public:
  explicit GgufValueReader(BoundedReader& reader) : reader_(reader) {}

  // Reads one pair into `metadata`; refuses an empty or repeated key.
  void read_pair(Metadata& metadata);

 private:
  MetadataValue value(std::string_view key, uint32_t type);
  MetadataArray array(std::string_view key, uint64_t depth);
  void fill(MetadataArray& array, std::string_view key, uint32_t type, uint64_t depth);
  void leave_encoded(MetadataArray& array, std::string_view key, uint32_t type);
  std::string_view string(std::string_view field);
  int64_t integer(std::string_view key, uint32_t type);
  bool boolean(std::string_view key);

  BoundedReader& reader_;
  uint64_t elements_ = 0;  // of all arrays so far
  uint64_t arrays_ = 0;
};

}  // namespace tern
