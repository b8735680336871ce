#include "formats/safetensors.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/bounded_reader.h"
#include "core/error.h"
#include "core/limits.h"
#include "formats/safetensors_header.h"
#include "formats/tensor_extent.h"

namespace tern {
namespace {

const FormatInfo* find_dtype(std::string_view dtype) {
  const auto rows = formats();
  const auto row = std::ranges::find_if(
      rows, [&](const FormatInfo& info) { return !dtype.empty() && info.safetensors_name == dtype; });
  return row == rows.end() ? nullptr : &*row;
}

// Where the data section lies and what messages begin with.
struct DataSection {
  std::string source;
  std::span<const std::byte> bytes;
  uint64_t file_offset;
};

// Types that are kept for who knows what they mean.
struct StoredType {
  std::string_view dtype;
  uint32_t bytes;
};
constexpr std::array kStoredTypes{StoredType{"BOOL", 1},    StoredType{"U8", 1},      StoredType{"I8", 1},
                                  StoredType{"F8_E4M3", 1}, StoredType{"F8_E5M2", 1}, StoredType{"F8_E8M0", 1},
                                  StoredType{"I16", 2},     StoredType{"U16", 2},     StoredType{"I32", 4},
                                  StoredType{"U32", 4},     StoredType{"I64", 8},     StoredType{"U64", 8},
                                  StoredType{"F64", 8}};

const StoredType* find_stored_type(std::string_view dtype) {
  const auto row = std::ranges::find(kStoredTypes, dtype, &StoredType::dtype);
  return row == kStoredTypes.end() ? nullptr : &*row;
}

// The bytes of an entry whose shape takes `bytes`.
std::span<const std::byte> data_of(const DataSection& data, const SafetensorsEntry& entry, const std::string& where,
                                   uint64_t bytes, uint64_t element_bytes) {
  const auto [begin, end] = entry.offsets;
  if (begin > end || end > data.bytes.size()) {
    bad_input(fmt::format("{}: data_offsets [{}, {}] are not a range within the file's {} bytes of tensor data", where,
                          begin, end, data.bytes.size()));
  }
  if (end - begin != bytes) {
    bad_input(fmt::format("{}: data_offsets hold {} bytes, dtype and shape take {}", where, end - begin, bytes));
  }
  if ((data.file_offset + begin) % element_bytes != 0) {
    bad_input(fmt::format("{}: data at byte {} of the file is not aligned to its {}-byte elements", where,
                          data.file_offset + begin, element_bytes));
  }
  return data.bytes.subspan(begin, bytes);
}

void add_tensor(const DataSection& data, const SafetensorsEntry& entry, Checkpoint& to) {
  const std::string where = fmt::format("{}: tensor {}", data.source, printable(entry.name));
  const std::span<const uint64_t> dims(entry.dims.data(), entry.dim_count);
  std::vector<int64_t> shape;
  if (const FormatInfo* format = find_dtype(entry.dtype)) {
    const uint64_t bytes = checked_shape(where, format->format, dims, shape);
    TensorInfo info{entry.name, format->format, std::move(shape), {}};
    info.data = data_of(data, entry, where, bytes, format->block_bytes);
    to.tensors.push_back(std::move(info));
    return;
  }
  const StoredType* type = find_stored_type(entry.dtype);
  if (!type) bad_input(fmt::format("{}: dtype {} is not supported", where, printable(entry.dtype)));
  const uint64_t bytes = checked_shape(where, type->bytes, dims, shape);
  to.stored.push_back({entry.name, type->dtype, std::move(shape), data_of(data, entry, where, bytes, type->bytes)});
}

// Every byte of the data section belongs to one tensor.
void check_coverage(const DataSection& data, std::vector<TensorExtent>& extents) {
  refuse_overlaps(data.source, extents);
  uint64_t end = 0;
  for (const TensorExtent& extent : extents) {
    if (extent.begin != end) {
      bad_input(fmt::format("{}: tensor {}: {} unused bytes before its data", data.source, printable(extent.name),
                            extent.begin - end));
    }
    end = extent.end;
  }
  if (end != data.bytes.size()) {
    bad_input(
        fmt::format("{}: tensors end at byte {} of {} bytes of tensor data", data.source, end, data.bytes.size()));
  }
}

void add_free_text(const SafetensorsHeader& header, Metadata& metadata) {
  for (const auto& [name, text] : header.free_text) {
    std::string key = fmt::format("__metadata__.{}", name);
    if (metadata.has(key)) metadata.refuse(key, "appears twice");
    metadata.set(std::move(key), {text});
  }
}

}  // namespace

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  if (bytes.size() < 9) return false;
  uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof length);
  return length <= bytes.size() - 8 && bytes[8] == std::byte{'{'};
}

Checkpoint read_safetensors(std::span<const std::byte> bytes, const std::string& path) {
  BoundedReader reader(bytes, "[safetensors] " + printable(path, 4096));
  const auto length = reader.number<uint64_t>("header length");
  if (length > Limits::kSafetensorsHeaderBytes) {
    reader.refuse("header length", fmt::format("{} exceeds the limit of {}", length, Limits::kSafetensorsHeaderBytes));
  }
  const std::span<const std::byte> text = reader.bytes(length, "header");
  if (text.empty() || text[0] != std::byte{'{'}) bad_input(reader.source() + ": header: does not begin with '{'");

  StringPool pool(text.size());
  const SafetensorsHeader header = parse_safetensors_header(text, reader.source(), pool);
  const DataSection data{reader.source(), bytes.subspan(reader.offset()), reader.offset()};

  Checkpoint checkpoint;
  checkpoint.kind = CheckpointKind::kHuggingFace;
  checkpoint.path = path;
  checkpoint.metadata = Metadata(reader.source());
  checkpoint.strings.push_back(pool.storage());
  add_free_text(header, checkpoint.metadata);
  std::vector<TensorExtent> extents;
  extents.reserve(header.entries.size());
  checkpoint.tensors.reserve(header.entries.size());
  for (const SafetensorsEntry& entry : header.entries) {
    add_tensor(data, entry, checkpoint);
    extents.push_back({entry.name, entry.offsets[0], entry.offsets[1]});
  }
  std::ranges::sort(checkpoint.tensors, {}, [](const TensorInfo& tensor) { return tensor.data.data(); });
  checkpoint.index_tensors();
  check_coverage(data, extents);
  return checkpoint;
}

}  // namespace tern
