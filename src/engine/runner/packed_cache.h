// The folder of sidecars (packed_file.h): which file belongs to a model, room for a new one, and the thread that writes
// it.
//
// A file's name says for which model path and kernels it is; of which version of the model its head says. So a changed
// model takes the place of its old sidecar. The sum of all is bounded by the option, and by half of what the disk would
// have free without them; the least recently used make room. Nothing here ever fails a load: what goes wrong is a
// sentence. Owned by the runner's weights; one thread, but for the writer that it starts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "engine/runner/packed_file.h"
#include "engine/runner/runner.h"

namespace tern {

class PackedCache {
 public:
  PackedCache(const PackCacheOptions& options, const Checkpoint& checkpoint, std::string layout, uint64_t data_bytes);
  // Finishes what is being written: the bytes it was given must live until then.
  ~PackedCache();
  PackedCache(const PackedCache&) = delete;
  PackedCache& operator=(const PackedCache&) = delete;

  bool enabled() const { return !path_.empty(); }
  const std::filesystem::path& path() const { return path_; }
  const PackedContents& contents() const { return contents_; }
  std::unique_ptr<PackedReader> find(std::string& reason) const;
  // Begins to write `data`, which stays as it is until this is destroyed, on a thread that takes what time is left
  // over. Returns why not; nothing when it began or another process is writing the same.
  std::string store(const std::byte* data);

 private:
  std::string make_room() const;

  PackCacheOptions options_;
  std::filesystem::path path_;
  PackedContents contents_;
  std::unique_ptr<PackedWriter> writer_;
  const std::byte* data_ = nullptr;
  std::thread thread_;
};

}  // namespace tern
