#include "engine/runner/cuda_weights.h"

#include <algorithm>
#include <cstring>

#include "core/half.h"
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

}  // namespace

CudaWeights::CudaWeights(const WeightMap& weights, ThreadPool& pool, void* stream)
    : weights_(weights), pool_(pool), stream_(stream) {
  for (Staging& staging : staging_) staging.memory = PinnedMemory(kStagingBytes, "loading weights");
}

std::byte* CudaWeights::reserve(uint64_t bytes, const char* what) {
  memory_.emplace_back(bytes, what);
  bytes_ += bytes;
  return memory_.back().data();
}

void CudaWeights::upload(const TensorInfo& tensor, std::byte* to) {
  const int64_t row_bytes = tensor.cols() * 2;
  const int64_t most = std::max<int64_t>(static_cast<int64_t>(kStagingBytes) / row_bytes, 1);
  for (int64_t begin = 0; begin < tensor.rows(); begin += most) {
    const int64_t end = std::min(begin + most, tensor.rows());
    Staging& staging = staging_[turn_++ % staging_.size()];
    if (static_cast<uint64_t>(row_bytes) > staging.memory.bytes()) {
      staging.memory = PinnedMemory(static_cast<uint64_t>(row_bytes), "loading weights");
    }
    staging.copied.wait();
    auto* rows = reinterpret_cast<uint16_t*>(staging.memory.data());
    pool_.run([&](const Team& team) {
      const Team::Range share = team.share(end - begin);
      std::vector<float> scratch;
      if (share.begin < share.end) {
        decode_rows(tensor, begin + share.begin, begin + share.end, scratch, rows + share.begin * tensor.cols());
      }
    });
    copy_to_device(to + begin * row_bytes, rows, static_cast<uint64_t>((end - begin) * row_bytes), stream_);
    staging.copied.record(stream_);
  }
}

const std::byte* CudaWeights::matrix(std::span<const WeightUse> parts) {
  std::string name;
  int64_t rows = 0;
  for (const WeightUse& part : parts) {
    name += std::string(weights_.tensor(part).name) + "\n";
    rows += part.rows;
  }
  std::byte*& place = matrices_[name];
  if (place != nullptr) return place;
  place = reserve(static_cast<uint64_t>(rows * parts[0].cols * 2), "the weights");
  int64_t at = 0;
  for (const WeightUse& part : parts) {
    upload(weights_.tensor(part), place + at * part.cols * 2);
    at += part.rows;
  }
  return place;
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
}

}  // namespace tern
