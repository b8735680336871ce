#include "formats/safetensors.h"

#include <fmt/core.h>

#include <algorithm>
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

TensorInfo make_tensor(const DataSection& data, const SafetensorsEntry& entry) {
  const std::string where = fmt::format("{}: tensor {}", data.source, printable(entry.name));
  const FormatInfo* format = find_dtype(entry.dtype);
  if (!format) bad_input(fmt::format("{}: dtype {} is not supported", where, printable(entry.dtype)));
  TensorInfo info;
  info.name = entry.name;
  info.format = format->format;
  const uint64_t bytes = checked_shape(where, info.format, {entry.dims.data(), entry.dim_count}, info.shape);
  const auto [begin, end] = entry.offsets;
  if (begin > end || end > data.bytes.size()) {
    bad_input(fmt::format("{}: data_offsets [{}, {}] are not a range within the file's {} bytes of tensor data", where,
                          begin, end, data.bytes.size()));
  }
  if (end - begin != bytes) {
    bad_input(fmt::format("{}: data_offsets hold {} bytes, dtype and shape take {}", where, end - begin, bytes));
  }
  if ((data.file_offset + begin) % format->block_bytes != 0) {
    bad_input(fmt::format("{}: data at byte {} of the file is not aligned to its {}-byte elements", where,
                          data.file_offset + begin, format->block_bytes));
  }
  info.data = data.bytes.subspan(begin, bytes);
  return info;
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
    checkpoint.tensors.push_back(make_tensor(data, entry));
    extents.push_back({entry.name, entry.offsets[0], entry.offsets[1]});
  }
  std::ranges::sort(checkpoint.tensors, {}, [](const TensorInfo& tensor) { return tensor.data.data(); });
  checkpoint.index_tensors();
  check_coverage(data, extents);
  return checkpoint;
}

}  // namespace tern
