#include "engine/runner/cuda_weights.h"

#include <algorithm>
#include <cstring>

#include "core/half.h"
#include "kernels/linear/fp8_rows_gpu.h"
#include "kernels/linear/w4_block32.h"
#include "quant/f8_e4m3.h"
#include "quant/format.h"

namespace tern {
namespace {

constexpr uint64_t kStagingBytes = 32 << 20;  // long enough for the link's full rate, short beside a model

// Rows [begin, end) of the tensor as bf16. A row is whole blocks.
void decode_rows(const TensorInfo& tensor, int64_t begin, int64_t end, std::vector<float>& scratch, uint16_t* out) {
  const FormatInfo& info = format_info(tensor.format);
  const int64_t cols = tensor.cols(), row_bytes = static_cast<int64_t>(tensor.data.size()) / tensor.rows();
  const std::byte* from = tensor.data.data() + begin * row_bytes;
  if (tensor.format == Format::kBF16) {
    std::memcpy(out, from, static_cast<size_t>((end - begin) * row_bytes));
    return;
  }
  scratch.resize(static_cast<size_t>(cols));
  for (int64_t row = begin; row < end; ++row, from += row_bytes, out += cols) {
    info.decode(from, cols / info.block_elements, scratch.data());
    for (int64_t c = 0; c < cols; ++c) out[c] = bf16_from_f32(scratch[static_cast<size_t>(c)]);
  }
}

// Bytes of a row in the pinned buffers; 4-bit rows come in tiles.
int64_t staged_row_bytes(int64_t cols, DecodeWeight as) {
  const bool offsets = as == DecodeWeight::kW4Block32Offset;
  return is_w4(as) ? w4::block32_bytes(w4::kTileRows, cols, offsets) / w4::kTileRows : cols * 2;
}

constexpr int64_t kFp8Edge = 128;    // of a block with a scale
constexpr int64_t kFp8Columns = 32;  // of a BlockF8E4M3

int64_t fp8_blocks(int64_t count) { return (count + kFp8Edge - 1) / kFp8Edge; }

// Whether the file's e4m3 go to the device as they are.
bool keeps_codes(const TensorInfo& tensor, DecodeWeight as) {
  return as == DecodeWeight::kFp8Block ||
         (as == DecodeWeight::kFp8Channel && tensor.format == Format::kF8E4M3 && tensor.scale_cols >= tensor.cols());
}

const BlockF8E4M3& fp8_block(const TensorInfo& tensor, int64_t row, int64_t col) {
  return reinterpret_cast<const BlockF8E4M3*>(tensor.data.data())[(row * tensor.cols() + col) / kFp8Columns];
}

// Rows [begin, end) without their scales.
void copy_codes(const TensorInfo& tensor, int64_t begin, int64_t end, std::byte* out) {
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t col = 0; col < tensor.cols(); col += kFp8Columns, out += kFp8Columns) {
      std::memcpy(out, fp8_block(tensor, row, col).qs, kFp8Columns);
    }
  }
}

using W4Pack = void (*)(const std::byte* blocks, int64_t rows, int64_t cols, std::byte* packed);
W4Pack w4_pack(Format format, DecodeWeight as) {
  if (format == Format::kQ4_0) return as == DecodeWeight::kW4Block32 ? w4::pack_q4_0 : w4::pack_q4_0_offset;
  return format == Format::kU4Zero ? w4::pack_u4_zero : w4::pack_q4_k;
}

// Rows [begin, end) into a pinned buffer, `row_bytes` each, by the workers.
void stage(ThreadPool& pool, const TensorInfo& tensor, int64_t begin, int64_t end, DecodeWeight as, int64_t row_bytes,
           std::byte* out) {
  const bool w4 = is_w4(as);
  const int64_t grain = w4 ? w4::kTileRows : 1;
  pool.run([&](const Team& team) {
    const Team::Range share = team.share(end - begin, grain);
    if (share.begin >= share.end) return;
    std::byte* to = out + share.begin * row_bytes;
    if (w4) {
      const int64_t file_row_bytes = static_cast<int64_t>(tensor.data.size()) / tensor.rows();
      w4_pack(tensor.format, as)(tensor.data.data() + (begin + share.begin) * file_row_bytes, share.end - share.begin,
                                 tensor.cols(), to);
    } else if (keeps_codes(tensor, as)) {
      copy_codes(tensor, begin + share.begin, begin + share.end, to);
    } else {
      std::vector<float> scratch;
      decode_rows(tensor, begin + share.begin, begin + share.end, scratch, reinterpret_cast<uint16_t*>(to));
    }
  });
}

}  // namespace

uint64_t cuda_matrix_bytes(int64_t rows, int64_t cols, DecodeWeight as) {
  const bool fp8 = as == DecodeWeight::kFp8Channel;
  return static_cast<uint64_t>(rows * (fp8 ? cols + 4 : staged_row_bytes(cols, as)));
}

CudaWeights::CudaWeights(const WeightMap& weights, ThreadPool& pool, void* stream)
    : weights_(weights), pool_(pool), stream_(stream) {
  for (Staging& staging : staging_) staging.memory = PinnedMemory(kStagingBytes, "loading weights");
}

std::byte* CudaWeights::reserve(uint64_t bytes, const char* what) {
  memory_.emplace_back(bytes, what);
  bytes_ += bytes;
  return memory_.back().data();
}

CudaMatrix CudaWeights::reserve_matrix(int64_t rows, int64_t cols, DecodeWeight as) {
  CudaMatrix out = {.weight = as};
  const bool fp8 = as == DecodeWeight::kFp8Channel || as == DecodeWeight::kFp8Block;
  const int64_t row_bytes = fp8 ? cols : staged_row_bytes(cols, as);
  const int64_t scales = !fp8                              ? 0
                         : as == DecodeWeight::kFp8Channel ? rows * 4
                                                           : fp8_blocks(rows) * fp8_blocks(cols) * 4;
  out.bytes = static_cast<uint64_t>(rows * row_bytes + scales);
  out.data = reserve(static_cast<uint64_t>(rows * row_bytes), "the weights");
  if (scales > 0) out.scales = reinterpret_cast<float*>(reserve(static_cast<uint64_t>(scales), "the weights' scales"));
  return out;
}

void CudaWeights::send_fp8(const std::byte* rows, int64_t count, int64_t cols, int64_t at_row, const CudaMatrix& to) {
  const auto bytes = static_cast<uint64_t>(count * cols * 2);
  if (rounding_.bytes() < bytes) rounding_ = CudaMemory(std::max(bytes, kStagingBytes), "loading weights");
  copy_to_device(rounding_.data(), rows, bytes, stream_);
  check_cuda(kGpuFp8RowsSm90.run({.in = rounding_.data(),
                                  .out = to.data + at_row * cols,
                                  .scales = to.scales + at_row,
                                  .rows = count,
                                  .cols = cols,
                                  .overlap = false},
                                 stream_),
             "fp8_rows");
}

// The scales of e4m3 that are kept.
void CudaWeights::send_scales(const TensorInfo& tensor, int64_t first_row, const CudaMatrix& to) {
  const bool channel = to.weight == DecodeWeight::kFp8Channel;
  const int64_t edge = channel ? 1 : kFp8Edge, across = channel ? 1 : fp8_blocks(tensor.cols());
  std::vector<float> scales;
  for (int64_t row = 0; row < tensor.rows(); row += edge) {
    for (int64_t block = 0; block < across; ++block) scales.push_back(fp8_block(tensor, row, block * kFp8Edge).d);
  }
  copy_to_device(reinterpret_cast<std::byte*>(to.scales + first_row / edge * across),
                 reinterpret_cast<const std::byte*>(scales.data()), scales.size() * sizeof(float), stream_);
}

// Rows [begin, end) of the tensor, whose row 0 is row `first_row` of the matrix.
void CudaWeights::send(const TensorInfo& tensor, int64_t begin, int64_t end, int64_t first_row, const CudaMatrix& to) {
  const bool codes = keeps_codes(tensor, to.weight);
  const int64_t row_bytes = codes ? tensor.cols() : staged_row_bytes(tensor.cols(), to.weight);
  const auto bytes = static_cast<uint64_t>((end - begin) * row_bytes);
  Staging& staging = staging_[turn_++ % staging_.size()];
  staging.copied.wait();
  if (bytes > staging.memory.bytes()) staging.memory = PinnedMemory(bytes, "loading weights");
  std::byte* rows = staging.memory.data();
  stage(pool_, tensor, begin, end, to.weight, row_bytes, rows);
  if (to.weight == DecodeWeight::kFp8Channel && !codes) {
    send_fp8(rows, end - begin, tensor.cols(), first_row + begin, to);
  } else {
    copy_to_device(to.data + (first_row + begin) * row_bytes, rows, bytes, stream_);
  }
  staging.copied.record(stream_);
}

void CudaWeights::upload(const TensorInfo& tensor, int64_t first_row, const CudaMatrix& to) {
  const int64_t row_bytes = staged_row_bytes(tensor.cols(), to.weight);
  const int64_t tiles = static_cast<int64_t>(kStagingBytes) / (row_bytes * w4::kTileRows);
  const int64_t most = std::max<int64_t>(tiles, 1) * w4::kTileRows;
  for (int64_t begin = 0; begin < tensor.rows(); begin += most) {
    send(tensor, begin, std::min(begin + most, tensor.rows()), first_row, to);
  }
  if (keeps_codes(tensor, to.weight)) send_scales(tensor, first_row, to);
}

CudaMatrix CudaWeights::matrix(std::span<const WeightUse> parts, DecodeWeight as) {
  std::string name;
  int64_t rows = 0;
  for (const WeightUse& part : parts) {
    name += std::string(weights_.tensor(part).name) + "\n";
    rows += part.rows;
  }
  CudaMatrix& matrix = matrices_[{name, as}];
  if (matrix.data != nullptr) return matrix;
  matrix = reserve_matrix(rows, parts[0].cols, as);
  int64_t at = 0;
  for (const WeightUse& part : parts) {
    upload(weights_.tensor(part), at, matrix);
    at += part.rows;
  }
  return matrix;
}

CudaMatrix CudaWeights::experts(std::span<const WeightUse> parts) {
  int64_t rows = 0, at = 0;
  for (const WeightUse& part : parts) rows += part.rows;
  const CudaMatrix matrix = reserve_matrix(parts[0].experts * rows, parts[0].cols, DecodeWeight::kBf16);
  for (int64_t e = 0; e < parts[0].experts; ++e) {
    for (const WeightUse& part : parts) {
      upload(weights_.expert(part, e), at, matrix);
      at += part.rows;
    }
  }
  return matrix;
}

const float* CudaWeights::floats(std::span<const float> values, const char* what) {
  std::byte* place = reserve(values.size_bytes(), what);
  copy_to_device(place, values.data(), values.size_bytes(), stream_);  // pageable: it has been read when this returns
  return reinterpret_cast<const float*>(place);
}

const float* CudaWeights::vector(const WeightUse& use) { return floats(weights_.vector(use), "the weights"); }

const float* CudaWeights::biases(std::span<const WeightUse> biases, std::span<const WeightUse> parts) {
  std::vector<float> all;
  bool any = false;
  for (size_t i = 0; i < biases.size(); ++i) {
    std::vector<float> values(static_cast<size_t>(parts[i].rows));
    if (biases[i].role != Role::kNone) values = weights_.vector(biases[i]), any = true;
    all.insert(all.end(), values.begin(), values.end());
  }
  return any ? floats(all, "the weights") : nullptr;
}

void CudaWeights::finish() {
  for (Staging& staging : staging_) {
    staging.copied.wait();
    staging.memory = PinnedMemory();
  }
  rounding_ = CudaMemory();
}

}  // namespace tern
