#include "engine/runner/packed_cache.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <system_error>
#include <vector>

#include "core/checksum.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".packed";
constexpr const char* kPartialSuffix = ".packed.partial";
constexpr size_t kStemBytes = 64;  // of a name, for people; the sum behind it tells models apart

std::string absolute_path(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::canonical(path, error);
  return error ? path : whole.string();
}

// Metadata and the table of tensors: everything before the first tensor's data.
std::span<const std::byte> header_of(const Checkpoint& checkpoint, std::span<const std::byte> file) {
  size_t size = file.size();
  for (const TensorInfo& tensor : checkpoint.tensors) {
    const auto offset = static_cast<size_t>(tensor.data.data() - file.data());
    if (!tensor.data.empty() && offset < size) size = offset;
  }
  return file.first(size);
}

// One line a file that says which version of it this is.
std::string version_of(const Checkpoint& checkpoint) {
  std::string text;
  for (const auto& file : checkpoint.files) {
    text += fmt::format("{} {} bytes, modified {}, header {:016x}\n", absolute_path(file->path()), file->bytes().size(),
                        file->modified_ns(), checksum64(header_of(checkpoint, file->bytes())));
  }
  return text;
}

// "smollm2-0123456789abcdef.packed"
std::string name_of(const Checkpoint& checkpoint, const std::string& layout) {
  std::string paths;
  for (const auto& file : checkpoint.files) paths += absolute_path(file->path()) + "\n";
  std::string stem = fs::path(checkpoint.files.front()->path()).stem().string().substr(0, kStemBytes);
  const auto plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  std::replace_if(stem.begin(), stem.end(), [&](char c) { return !plain(static_cast<unsigned char>(c)); }, '_');
  return fmt::format("{}-{:016x}{}", stem, checksum64(paths + layout), kSuffix);
}

struct Kept {
  fs::path path;
  uint64_t bytes;
  fs::file_time_type used;
};

// What a killed process left half written: nobody holds its lock.
void remove_if_abandoned(const fs::path& partial) {
  const PackedFileHandle file(::open(partial.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(partial.c_str());
}

// The sidecars, least recently used first.
std::vector<Kept> kept_in(const fs::path& folder) {
  std::vector<Kept> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().string().ends_with(kPartialSuffix)) remove_if_abandoned(at->path());
    std::error_code gone;
    const Kept entry{at->path(), at->file_size(gone), at->last_write_time(gone)};
    if (!gone && entry.path.extension() == kSuffix) entries.push_back(entry);
  }
  std::sort(entries.begin(), entries.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  return entries;
}

// Work for when nobody else wants the processor. Where a busy machine leaves nothing, the destructor takes over.
void yield_to_everybody() {
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_IDLE, &none);  // a hint: failure changes nothing
}

}  // namespace

PackedCache::PackedCache(const PackCacheOptions& options, const Checkpoint& checkpoint, std::string layout,
                         uint64_t data_bytes)
    : options_(options) {
  if (options.folder.empty() || checkpoint.files.empty() || data_bytes < options.min_bytes || data_bytes == 0) return;
  if (checkpoint.in_memory()) return;  // weights that were made up are made up again as fast
  path_ = fs::path(options.folder) / name_of(checkpoint, layout);
  contents_ = {version_of(checkpoint) + std::move(layout), data_bytes};
}

PackedCache::~PackedCache() {
  if (writer_ == nullptr) return;
  while (writer_->claim(data_)) {
  }
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<PackedReader> PackedCache::find(std::string& reason) const {
  return PackedReader::open(path_, contents_, reason);
}

std::string PackedCache::store(const std::byte* data) {
  std::error_code error;
  fs::create_directories(path_.parent_path(), error);
  if (error) return fmt::format("{}: {}", path_.parent_path().string(), error.message());
  std::string reason = make_room();
  if (!reason.empty()) return reason;
  writer_ = PackedWriter::begin(path_, contents_, reason);
  if (writer_ == nullptr) return reason.empty() ? "" : fmt::format("{}: {}", path_.string(), reason);
  data_ = data;
  try {
    thread_ = std::thread([this] {
      yield_to_everybody();
      while (writer_->claim(data_)) {
      }
    });
  } catch (const std::system_error&) {
    // No thread: the destructor writes all of it.
  }
  return "";
}

// Also this path's own old file goes: it was of another version, or damaged.
std::string PackedCache::make_room() const {
  const fs::path folder = path_.parent_path();
  std::error_code error;
  fs::remove(path_, error);
  std::vector<Kept> entries = kept_in(folder);
  uint64_t total = 0;
  for (const Kept& entry : entries) total += entry.bytes;
  const fs::space_info space = fs::space(folder, error);
  if (error) return fmt::format("{}: {}", folder.string(), error.message());
  const uint64_t most = std::min<uint64_t>(options_.max_bytes, (space.available + total) / 2);
  const uint64_t bytes = contents_.file_bytes();
  if (bytes > most) {
    return fmt::format(
        "{}: {} bytes of packed weights exceed {}, the smaller of the cache's limit and half of the disk",
        folder.string(), bytes, most);
  }
  for (const Kept& entry : entries) {
    if (total + bytes <= most) break;
    if (fs::remove(entry.path, error)) total -= entry.bytes;
  }
  return total + bytes <= most ? "" : fmt::format("{}: older entries cannot be removed", folder.string());
}

}  // namespace tern
