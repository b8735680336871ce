#include "engine/runner/weight_storage.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>

#include "core/checked.h"
#include "core/host_memory.h"

namespace tern {
void WeightStorage::add(Linear& linear, std::vector<const TensorInfo*> tensors) {
  const uint64_t begin = matrices_.empty() ? 0 : matrices_.back().begin + matrices_.back().bytes;
  matrices_.push_back({&linear, std::move(tensors), begin, linear.packed_bytes()});
}

void WeightStorage::fill(const Checkpoint& checkpoint, const PackCacheOptions& options, ThreadPool& pool) {
  // What was read of the file and what the start has used of the program make room for the weights.
  checkpoint.release_pages();
  release_program_pages();
  const uint64_t bytes = matrices_.empty() ? 0 : matrices_.back().begin + matrices_.back().bytes;
  arena_ = Buffer(bytes, "packed weights", PageHint::kHuge);
  cache_ = std::make_unique<PackedCache>(options, checkpoint, layout(), bytes);
  if (!cache_->enabled()) return pack(checkpoint, pool);
  report_ = {PackCacheState::kMiss, cache_->contents().file_bytes(), ""};
  if (const auto reader = cache_->find(report_.reason)) {
    if (!copy(*reader, pool)) {
      report_.reason = "damaged";
    } else if (!agrees_with_file(checkpoint, pool)) {
      report_.reason = "not of the weights in the model's file";
    } else {
      report_.state = PackCacheState::kHit;
      reader->touch();
      return;
    }
    arena_ = {};  // packing counts on zeros
    arena_ = Buffer(bytes, "packed weights", PageHint::kHuge);
  }
  pack(checkpoint, pool);
  const std::string trouble = cache_->store(arena_.data());
  if (trouble.empty()) return;
  report_.reason += "; not kept: " + trouble;
  if (options.warn) options.warn("[pack-cache] " + trouble);
}

uint64_t WeightStorage::mapped_bytes() const {
  uint64_t bytes = 0;
  for (const Matrix& matrix : matrices_) {
    for (size_t i = 0; i < matrix.tensors.size(); ++i) {
      if (!matrix.linear->copies(static_cast<int64_t>(i))) bytes += matrix.tensors[i]->data.size();
    }
  }
  return bytes;
}

std::string WeightStorage::layout() const {
  std::string text;
  for (const Matrix& matrix : matrices_) {
    text += fmt::format("{}: {}\n", matrix.linear->name(), matrix.linear->packed_layout());
  }
  return text;
}

// The worker that reads most of a block when one token runs: panels are divided evenly in their order, and so are
// bytes. `matrix` is the index of the one that held an earlier block.
int WeightStorage::worker_of(uint64_t block, size_t& matrix, int workers) const {
  const uint64_t begin = block * PackedContents::kBlockBytes;
  const uint64_t middle = std::min(begin + PackedContents::kBlockBytes / 2, arena_.bytes() - 1);
  while (matrices_[matrix].begin + matrices_[matrix].bytes <= middle) ++matrix;
  const Matrix& m = matrices_[matrix];
  return static_cast<int>((middle - m.begin) * static_cast<uint64_t>(workers) / m.bytes);
}

// Each worker copies, and so touches first, what it will read. Memory that could not hold the weights twice is not
// filled with the file's pages.
bool WeightStorage::copy(const PackedReader& reader, ThreadPool& pool) {
  const bool forget = !(Checked(2) * Checked(arena_.bytes())).at_most(available_memory_bytes());
  std::atomic<bool> whole{true};
  pool.run([&](const Team& team) {
    size_t matrix = 0;
    for (uint64_t block = 0; block < cache_->contents().blocks() && whole; ++block) {
      if (worker_of(block, matrix, team.size()) != team.index()) continue;
      if (!reader.read(block, arena_.data() + block * PackedContents::kBlockBytes)) whole = false;
      if (forget) reader.forget(block);
    }
  });
  for (const Matrix& matrix : matrices_) matrix.linear->adopt(arena_.data() + matrix.begin);
  return whole;
}

// A row of every matrix, decoded from here and from the model's file: finds a model whose weights changed behind the
// same size, time and header, and a layout that changed behind its name.
bool WeightStorage::agrees_with_file(const Checkpoint& checkpoint, ThreadPool& pool) const {
  std::atomic<bool> agrees{true};
  int64_t cols = 0;
  for (const Matrix& matrix : matrices_) cols = std::max(cols, matrix.linear->cols());
  std::vector<float> rows(static_cast<size_t>(pool.size() * 2 * cols));  // workers must not allocate: they cannot throw
  pool.run([&](const Team& team) {
    float* two_rows = rows.data() + team.index() * 2 * cols;
    const Team::Range share = team.share(static_cast<int64_t>(matrices_.size()));
    for (int64_t i = share.begin; i < share.end; ++i) {
      const Matrix& matrix = matrices_[static_cast<size_t>(i)];
      if (!matrix.linear->agrees_with_file(static_cast<uint64_t>(i), two_rows)) agrees = false;
      checkpoint.release_pages();  // a fault maps its neighbourhood too, up to 2 MiB
    }
  });
  return agrees;
}

// One matrix at a time, and the file's pages of what was copied are given back at once. The largest go first: both of a
// matrix are resident then when little else is, and the peak is one copy of all. A fault maps what lies around it too,
// by megabytes where the page cache holds large pages: a matrix may bring back pages of many others.
void WeightStorage::pack(const Checkpoint& checkpoint, ThreadPool& pool) {
  std::vector<const Matrix*> order;
  for (const Matrix& matrix : matrices_) order.push_back(&matrix);
  std::stable_sort(order.begin(), order.end(), [](const Matrix* a, const Matrix* b) { return a->bytes > b->bytes; });
  for (const Matrix* matrix : order) {
    pool.run([&](const Team& team) { matrix->linear->pack(arena_.data() + matrix->begin, team); });
    release(*matrix, checkpoint);
    checkpoint.release_pages();
  }
}

void WeightStorage::release(const Matrix& matrix, const Checkpoint& checkpoint) {
  for (size_t i = 0; i < matrix.tensors.size(); ++i) {
    if (matrix.linear->copies(static_cast<int64_t>(i))) checkpoint.release_pages(*matrix.tensors[i]);
  }
}

}  // namespace tern
