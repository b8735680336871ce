#include "formats/quantized/assemble.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <set>
#include <span>

#include "core/checked.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "core/thread_pool.h"
#include "formats/quantized/matrix.h"
#include "formats/string_pool.h"

namespace tern {
namespace {

constexpr std::string_view kMethod = "quantization_config.quant_method";
constexpr uint64_t kAlignment = 64;
constexpr int64_t kPieceRows = 64;  // of a matrix, that one worker makes at a time: whole words of every method

struct Method {
  std::string_view name;
  std::vector<QuantizedReader> readers;
};

const std::vector<Method>& methods() {
  static const std::vector<Method> all = {{"gptq", {read_gptq}},
                                          {"awq", {read_awq}},
                                          {"fp8", {read_fp8}},
                                          {"mxfp4", {read_fp4}},
                                          {"compressed-tensors", {read_packed, read_int8, read_fp8, read_fp4}}};
  return all;
}

// Formats of compressed-tensors; others are refused by name.
constexpr std::array<std::string_view, 9> kFormats = {"pack-quantized",  "int-quantized",        "float-quantized",
                                                      "naive-quantized", "nvfp4-pack-quantized", "mxfp4-pack-quantized",
                                                      "mxfp8-quantized", "mixed-precision",      "dense"};

void check_compressed_tensors(const Metadata& config) {
  const auto check = [&](const std::string& key) {
    const std::string_view format = config.string_or(key, "dense");
    if (std::ranges::find(kFormats, format) != kFormats.end()) return;
    config.refuse(key, fmt::format("'{}' of compressed-tensors is not read", printable(format)));
  };
  check("quantization_config.format");
  for (const std::string& key : config.keys()) {
    if (key.starts_with("quantization_config.config_groups.") && key.ends_with(".format")) check(key);
    if (key.starts_with("quantization_config.transform_config.config_groups.")) {
      config.refuse(key, "transforms (rotations while running) are not read");
    }
  }
}

void check_awq(const Metadata& config) {
  const std::string_view version = config.string_or("quantization_config.version", "gemm");
  if (version != "gemm" && version != "GEMM") {
    config.refuse("quantization_config.version", fmt::format("AWQ's '{}' is not read, 'gemm' is", printable(version)));
  }
  config.integer("quantization_config.bits", 4, 4);
}

const Method& method_of(const Metadata& config) {
  const std::string_view name = config.string_or(kMethod, "none");
  const auto found = std::ranges::find(methods(), name, &Method::name);
  if (found == methods().end()) {
    std::string read;
    for (const Method& method : methods()) read += (read.empty() ? "" : ", ") + std::string(method.name);
    config.refuse(kMethod, fmt::format("'{}' is not read; read are {}", printable(name), read));
  }
  if (name == "compressed-tensors") check_compressed_tensors(config);
  if (name == "awq") check_awq(config);
  return *found;
}

constexpr std::array<std::string_view, 4> kCodeSuffixes = {".qweight", ".weight_packed", ".weight", "_blocks"};

// The modules that have codes, in the order of the file.
std::vector<std::string> modules_of(const Checkpoint& checkpoint) {
  std::vector<std::string> modules;
  for (const StoredTensor& tensor : checkpoint.stored) {
    for (const std::string_view suffix : kCodeSuffixes) {
      if (!tensor.name.ends_with(suffix)) continue;
      modules.emplace_back(tensor.name.substr(0, tensor.name.size() - suffix.size()));
      break;
    }
  }
  return modules;
}

using Matrices = std::vector<std::unique_ptr<QuantizedMatrix>>;

Matrices read_modules(const Checkpoint& checkpoint, const Method& method) {
  Matrices matrices;
  for (const std::string& name : modules_of(checkpoint)) {
    const ModuleTensors module(checkpoint, name);
    for (const QuantizedReader reader : method.readers) {
      matrices.push_back(reader(module, checkpoint.metadata));
      if (matrices.back() != nullptr) break;
      matrices.pop_back();
    }
  }
  return matrices;
}

uint64_t bytes_of(const QuantizedMatrix& matrix) {
  const Checked elements =
      Checked(static_cast<uint64_t>(matrix.rows())) * Checked(static_cast<uint64_t>(matrix.cols()));
  return encoded_bytes(matrix.format(), elements.value_or(UINT64_MAX)).value_or(UINT64_MAX);
}

// Where each matrix begins, and behind them the size of all.
std::vector<uint64_t> places_of(const Checkpoint& checkpoint, const Matrices& matrices) {
  std::vector<uint64_t> places;
  Checked end = 0;
  for (const auto& matrix : matrices) {
    places.push_back(end.value_or(0));
    end = (end + Checked(bytes_of(*matrix))).aligned_up(kAlignment);
    if (!end.at_most(INT64_MAX)) bad_input(checkpoint.metadata.source() + ": the size of its weights overflows");
  }
  places.push_back(end.value_or(0));
  return places;
}

void fill_all(const Checkpoint& checkpoint, const Matrices& matrices, const std::vector<uint64_t>& places,
              std::span<std::byte> bytes, int threads) {
  if (const uint64_t available = available_memory_bytes(); bytes.size() > available) {
    fail(ErrorCode::kResource, fmt::format("[memory] {}: its weights take {} bytes, and {} are there", checkpoint.path,
                                           bytes.size(), available));
  }
  std::vector<std::atomic<bool>> wrong(matrices.size());
  ThreadPool pool(threads, {.pin = false});
  pool.run([&](const Team& team) {
    for (size_t i = 0; i < matrices.size(); ++i) {
      const QuantizedMatrix& matrix = *matrices[i];
      const int64_t row_bytes = static_cast<int64_t>(bytes_of(matrix)) / matrix.rows();
      const Team::Range share = team.share(matrix.rows(), kPieceRows);
      if (share.begin >= share.end) continue;
      std::byte* out = bytes.data() + places[i] + share.begin * row_bytes;
      if (!matrix.encode(share.begin, share.end, out)) wrong[i] = true;
    }
  });
  for (size_t i = 0; i < matrices.size(); ++i) {
    if (!wrong[i]) continue;
    bad_input(fmt::format("{}: {} has values or scales that are not numbers", checkpoint.metadata.source(),
                          printable(matrices[i]->name, 512)));
  }
}

// "gptq: 224 matrices, 4 bits, groups of 128, as q4_0"
std::vector<std::string> notes_on(const Matrices& matrices, std::string_view method) {
  std::vector<std::string> notes;
  std::map<std::string, int> kinds;
  for (const auto& matrix : matrices) ++kinds[fmt::format("{}, as {}", matrix->meaning(), name_of(matrix->format()))];
  for (const auto& [kind, count] : kinds) {
    notes.push_back(fmt::format("{}: {} {}, {}", method, count, count == 1 ? "matrix" : "matrices", kind));
  }
  return notes;
}

// All but scales and the like of modules that are matrices now.
std::vector<TensorInfo> kept_tensors(const Matrices& matrices, const Checkpoint& checkpoint) {
  std::set<std::string, std::less<>> modules;
  for (const auto& matrix : matrices) modules.insert(matrix->name.substr(0, matrix->name.rfind('.')));
  std::vector<TensorInfo> kept = checkpoint.tensors;
  std::erase_if(kept, [&](const TensorInfo& tensor) {
    const size_t dot = tensor.name.rfind('.');
    if (dot == std::string_view::npos || tensor.name.substr(dot) == ".bias") return false;
    return modules.contains(tensor.name.substr(0, dot)) && tensor.name.substr(dot) != ".weight";
  });
  return kept;
}

// The matrices as tensors over `memory`, their names in `names`.
std::vector<TensorInfo> made_tensors(const Matrices& matrices, const std::vector<uint64_t>& places,
                                     const MappedFile& memory, StringPool& names) {
  std::vector<TensorInfo> made;
  for (size_t i = 0; i < matrices.size(); ++i) {
    const QuantizedMatrix& matrix = *matrices[i];
    TensorInfo info{names.add(matrix.name), matrix.format(), matrix.shape, {}};
    info.data = memory.bytes().subspan(places[i], bytes_of(matrix));
    info.scale_rows = matrix.scale_rows();
    info.scale_cols = matrix.scale_cols();
    made.push_back(std::move(info));
  }
  return made;
}

}  // namespace

std::shared_ptr<const Checkpoint> assembled(std::shared_ptr<const Checkpoint> checkpoint, bool fill, int threads) {
  const auto is_config = [](const std::string& key) { return key.starts_with("quantization_config."); };
  if (checkpoint->kind != CheckpointKind::kHuggingFace) return checkpoint;
  if (std::ranges::none_of(checkpoint->metadata.keys(), is_config)) return checkpoint;
  const Method& method = method_of(checkpoint->metadata);
  const Matrices matrices = read_modules(*checkpoint, method);
  if (matrices.empty()) return checkpoint;
  const std::vector<uint64_t> places = places_of(*checkpoint, matrices);
  auto memory = std::make_shared<MappedFile>(checkpoint->path, places.back());
  if (fill) fill_all(*checkpoint, matrices, places, memory->writable(), threads);
  memory->seal();
  size_t name_bytes = 0;
  for (const auto& matrix : matrices) name_bytes += matrix->name.size();
  StringPool names(name_bytes);
  auto whole = std::make_shared<Checkpoint>(*checkpoint);
  whole->notes = notes_on(matrices, method.name);
  whole->tensors = kept_tensors(matrices, *checkpoint);
  std::ranges::move(made_tensors(matrices, places, *memory, names), std::back_inserter(whole->tensors));
  whole->stored.clear();
  whole->strings.push_back(names.storage());
  whole->release_pages();
  whole->files.push_back(std::move(memory));
  whole->index_tensors();
  return whole;
}

}  // namespace tern
