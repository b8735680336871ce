// Runs another program to its end, without a shell.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tern {

struct ChildProcess {
  std::vector<std::string> arguments;  // the first is looked up in PATH
  std::filesystem::path folder;        // working folder; also its TMPDIR
  std::filesystem::path log;           // takes standard output and standard error
};

enum class ChildEnd { kOk, kFailed, kMissing, kStopped };

// Standard input is empty. `keep_going` is called about ten times a second; when it answers no, the child is killed.
// kMissing: there is no such program. kStopped: `keep_going` said so.
ChildEnd run_child(const ChildProcess& child, const std::function<bool()>& keep_going);

}  // namespace tern
