// A simulation in a process of its own: its result comes back through shared memory.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "engine/simulate/stress.h"

namespace tern {
namespace {

struct Shared {
  SimulationResult result;
  char message[512];  // empty: all is well
};
static_assert(std::is_trivially_copyable_v<SimulationResult>);

Shared* make_shared_page() {
  void* const page = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) fail(ErrorCode::kResource, "[simulate] no memory to share with another process");
  return static_cast<Shared*>(page);
}

[[noreturn]] void run_as_child(const StressCase& one, Shared& shared, bool quiet) {
  if (quiet && std::freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
  SimulationResult result;
  if (const auto message = broken_invariant(one, nullptr, &result)) {
    std::snprintf(shared.message, sizeof shared.message, "%s", message->c_str());
  }
  std::memcpy(&shared.result, &result, sizeof result);
  _exit(0);
}

}  // namespace

std::optional<std::string> broken_apart(const StressCase& one, SimulationResult* result, bool quiet) {
  Shared* const shared = make_shared_page();
  const pid_t child = fork();
  if (child == 0) run_as_child(one, *shared, quiet);
  int status = 0;
  std::optional<std::string> message;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    message = "no process to run it in";
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    message = "it ended by signal " + std::to_string(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  } else if (shared->message[0] != '\0') {
    message = shared->message;
  } else if (result != nullptr) {
    std::memcpy(result, &shared->result, sizeof *result);
  }
  munmap(shared, sizeof(Shared));
  return message;
}

}  // namespace tern
