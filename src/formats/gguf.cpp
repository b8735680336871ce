#include "formats/gguf.h"

#include <fmt/core.h>

#include <array>
#include <bit>
#include <cstring>

#include "core/bounded_reader.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/limits.h"
#include "formats/gguf_values.h"
#include "formats/tensor_extent.h"

namespace tern {
namespace {

constexpr uint64_t kLeastPairBytes = 8 + 1 + 4 + 1;            // key of one byte, value of one byte
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // name of one byte, one dimension
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kLeastAlignment = 8;  // the format's own rule; views are then aligned for every element type

// Types of ggml that tern does not read, so that a refusal can name them. Numbers that are absent were never released.
std::string_view unread_ggml_type(uint32_t type) {
  switch (type) {
    case 9:
      return "q8_1";
    case 15:
      return "q8_k";
    case 24:
      return "i8";
    case 25:
      return "i16";
    case 26:
      return "i32";
    case 27:
      return "i64";
    case 28:
      return "f64";
    default:
      return "unknown";
  }
}

void check_count(BoundedReader& reader, std::string_view field, uint64_t count, uint64_t limit, uint64_t least_bytes) {
  if (count > limit) reader.refuse(field, fmt::format("{} exceeds the limit of {}", count, limit));
  if (count > reader.remaining() / least_bytes) {
    reader.refuse(field,
                  fmt::format("{} exceeds what the file's remaining {} bytes can hold", count, reader.remaining()));
  }
}

void read_magic_and_version(BoundedReader& reader) {
  const std::string_view magic = reader.string(4, "magic");
  if (magic == "FUGG") reader.refuse("magic", "big-endian GGUF is not supported");
  if (magic != "GGUF") reader.refuse("magic", fmt::format("'{}' is not 'GGUF'", printable(magic)));
  const auto version = reader.number<uint32_t>("version");
  if (version == 2 || version == 3) return;
  if ((version & 0xffffu) == 0 && version != 0) reader.refuse("version", "big-endian GGUF is not supported");
  reader.refuse("version", fmt::format("{} is not supported (2 and 3 are)", version));
}

uint64_t alignment_of(const Metadata& metadata) {
  const auto value = static_cast<uint64_t>(metadata.integer_or(kAlignmentKey, kDefaultAlignment, 0, UINT32_MAX));
  if (!std::has_single_bit(value) || value < kLeastAlignment || value > Limits::kAlignment) {
    metadata.refuse(kAlignmentKey,
                    fmt::format("{} is not a power of two in [{}, {}]", value, kLeastAlignment, Limits::kAlignment));
  }
  return value;
}

// A tensor info as the file gives it; its place is checked once all are read and the data section is known.
struct Placed {
  TensorInfo info;
  uint64_t offset, bytes;
};

std::string tensor_label(const BoundedReader& reader, std::string_view name) {
  return fmt::format("{}: tensor {}", reader.source(), printable(name));
}

Placed read_tensor_info(BoundedReader& reader) {
  const auto length = reader.number<uint64_t>("tensor name length");
  if (length == 0 || length > Limits::kTensorNameBytes) {
    reader.refuse("tensor name length", fmt::format("{} is not in [1, {}]", length, Limits::kTensorNameBytes));
  }
  Placed placed;
  TensorInfo& info = placed.info;
  info.name = reader.string(length, "tensor name");
  const auto count = reader.number<uint32_t>("tensor dimensions");
  if (count == 0 || count > Limits::kTensorDims) {
    bad_input(fmt::format("{}: {} dimensions are not in [1, {}]", tensor_label(reader, info.name), count,
                          Limits::kTensorDims));
  }
  std::array<uint64_t, Limits::kTensorDims> dims{};  // outermost first; the file has the innermost first
  for (uint32_t i = 0; i < count; ++i) dims[count - 1 - i] = reader.number<uint64_t>("tensor dimension");
  const auto type = reader.number<uint32_t>("tensor type");
  const FormatInfo* format = find_ggml_type(type);
  if (!format) {
    bad_input(fmt::format("{}: type {} ({}) is not supported", tensor_label(reader, info.name), type,
                          unread_ggml_type(type)));
  }
  info.format = format->format;
  placed.bytes = checked_shape(tensor_label(reader, info.name), info.format, {dims.data(), count}, info.shape);
  placed.offset = reader.number<uint64_t>("tensor offset");
  return placed;
}

// Gives the tensor its bytes of the data section, or refuses.
void place(const BoundedReader& reader, Placed& placed, std::span<const std::byte> data, uint64_t alignment) {
  if (placed.offset % alignment != 0) {
    bad_input(fmt::format("{}: offset {} is not a multiple of the alignment {}", tensor_label(reader, placed.info.name),
                          placed.offset, alignment));
  }
  if (!(Checked(placed.offset) + Checked(placed.bytes)).at_most(data.size())) {
    bad_input(fmt::format("{}: {} bytes at offset {} reach beyond the file's {} bytes of tensor data",
                          tensor_label(reader, placed.info.name), placed.bytes, placed.offset, data.size()));
  }
  placed.info.data = data.subspan(placed.offset, placed.bytes);
}

std::span<const std::byte> data_section(std::span<const std::byte> bytes, uint64_t header_end, uint64_t alignment) {
  const Checked begin = Checked(header_end).aligned_up(alignment);
  return begin.at_most(bytes.size()) ? bytes.subspan(begin.value_or(0)) : std::span<const std::byte>{};
}

}  // namespace

bool looks_like_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && (std::memcmp(bytes.data(), "GGUF", 4) == 0 || std::memcmp(bytes.data(), "FUGG", 4) == 0);
}

Checkpoint read_gguf(std::span<const std::byte> bytes, const std::string& path) {
  BoundedReader reader(bytes, "[gguf] " + printable(path, 4096));
  read_magic_and_version(reader);
  const auto tensor_count = reader.number<uint64_t>("tensor count");
  const auto pair_count = reader.number<uint64_t>("metadata count");
  check_count(reader, "tensor count", tensor_count, Limits::kTensors, kLeastTensorBytes);
  check_count(reader, "metadata count", pair_count, Limits::kMetadataEntries, kLeastPairBytes);

  Checkpoint checkpoint;
  checkpoint.kind = CheckpointKind::kGguf;
  checkpoint.path = path;
  checkpoint.metadata = Metadata(reader.source());
  GgufValueReader values(reader);
  for (uint64_t i = 0; i < pair_count; ++i) values.read_pair(checkpoint.metadata);

  check_count(reader, "tensor count", tensor_count, Limits::kTensors, kLeastTensorBytes);
  std::vector<Placed> placed;
  placed.reserve(tensor_count);
  for (uint64_t i = 0; i < tensor_count; ++i) placed.push_back(read_tensor_info(reader));

  const uint64_t alignment = alignment_of(checkpoint.metadata);
  const std::span<const std::byte> data = data_section(bytes, reader.offset(), alignment);
  std::vector<TensorExtent> extents;
  extents.reserve(placed.size());
  checkpoint.tensors.reserve(placed.size());
  for (Placed& tensor : placed) {
    place(reader, tensor, data, alignment);
    extents.push_back({tensor.info.name, tensor.offset, tensor.offset + tensor.bytes});
    checkpoint.tensors.push_back(std::move(tensor.info));
  }
  checkpoint.index_tensors();
  refuse_overlaps(reader.source(), extents);
  return checkpoint;
}

}  // namespace tern
