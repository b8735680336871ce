#include "cli/child_process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>

#include "core/error.h"

namespace tern {
namespace {

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment(const std::filesystem::path& temporary) {
  std::vector<std::string> out{"TMPDIR=" + temporary.string()};
  for (char** entry = environ; *entry; ++entry) {
    if (!std::string_view(*entry).starts_with("TMPDIR=")) out.emplace_back(*entry);
  }
  return out;
}

// The child's descriptors and folder; the destructor is all that posix_spawn's C interface lacks.
struct FileActions {
  posix_spawn_file_actions_t actions;
  FileActions(const ChildProcess& child) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, child.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&actions, child.folder.c_str());
  }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { posix_spawn_file_actions_destroy(&actions); }
};

int wait_for(pid_t pid, int options, int* status) {
  int got;
  do {
    got = waitpid(pid, status, options);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

ChildEnd run_child(const ChildProcess& child, const std::function<bool()>& keep_going) {
  std::vector<std::string> arguments = child.arguments, variables = environment(child.folder);
  const FileActions files(child);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, arguments[0].c_str(), &files.actions, nullptr, pointers(arguments).data(),
                                 pointers(variables).data());
  if (error == ENOENT) return ChildEnd::kMissing;
  if (error) fail(ErrorCode::kFailed, fmt::format("[process] cannot start {}: {}", arguments[0], std::strerror(error)));

  int status = 0;
  while (wait_for(pid, WNOHANG, &status) == 0) {
    bool stop = true;
    try {
      stop = !keep_going();
    } catch (...) {
      kill(pid, SIGKILL);
      wait_for(pid, 0, &status);
      throw;
    }
    if (stop) {
      kill(pid, SIGKILL);
      wait_for(pid, 0, &status);
      return ChildEnd::kStopped;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? ChildEnd::kOk : ChildEnd::kFailed;
}

}  // namespace tern
