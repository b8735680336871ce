// The tern program: parses the command line, runs one subcommand, turns errors into one line and an exit code.
#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>

#include "cli/subcommands.h"
#include "core/error.h"
#include "core/limits.h"

namespace {

// Options of llama.cpp with one dash and several letters, which are not single-letter flags.
constexpr std::pair<const char*, const char*> kOneDashAliases[] = {
    {"-ctk", "--cache-type-k"}, {"-ctv", "--cache-type-v"}, {"-npl", "--parallel-sequences"},
    {"-np", "--max-num-seqs"},  {"-tb", "--threads-batch"}, {"-ub", "--max-num-batched-tokens"},
};

// The command line with aliases replaced, from the back, as CLI11 takes a vector. "-m MODEL" stands for the first
// positional argument wherever it is, so it moves behind the subcommand.
std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> out(argv + std::min(argc, 1), argv + argc);
  for (std::string& argument : out) {
    for (const auto& [alias, name] : kOneDashAliases) {
      if (argument == alias) argument = name;
    }
  }
  const bool remote = out.size() > 1 && out[0] == "bench" && out[1] == "serve";  // its model is a name, not a file
  const auto flag =
      std::find_if(out.begin(), out.end(), [](const std::string& a) { return a == "-m" || a == "--model"; });
  if (!remote && flag != out.end() && flag + 1 != out.end()) {
    const std::string model = *(flag + 1);
    out.erase(flag, flag + 2);
    const size_t words = !out.empty() && out[0] == "eval" ? 2 : 1;  // of the subcommand
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(std::min(words, out.size())), model);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

int run(int argc, char** argv) {
  CLI::App app{"tern: large language models, served fast and small", "tern"};
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", std::string("tern ") + TERN_VERSION);
  bool help_limits = false;
  app.add_flag("--help-limits", help_limits, "Print every limit on what comes from outside");
  tern::Subcommands commands;
  commands.add_run(app);
  commands.add_chat(app);
  commands.add_serve(app);
  commands.add_pull(app);
  commands.add_info(app);
  commands.add_tokenize(app);
  commands.add_embed(app);
  commands.add_bench(app);
  commands.add_eval(app);
  commands.add_synth(app);
  commands.add_kernels(app);
  try {
    app.parse(arguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    tern::bad_input(std::string("[options] ") + error.what());
  }
  if (help_limits) {
    std::printf("%s", tern::limits_text().c_str());
  } else if (app.get_subcommands().empty()) {
    std::printf("%s", app.help().c_str());
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    tern::fail(tern::ErrorCode::kFailed, "[output] standard output cannot be written");
  }
  return commands.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  // Large blocks come from the system and go back to it. Without this glibc raises the bound to the largest one that
  // was ever freed, and what a start needs for a moment (the strings of a vocabulary) stays in its heaps.
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is a write error, not a death
  try {
    return run(argc, argv);
  } catch (const tern::Error& error) {
    std::fprintf(stderr, "tern: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "tern: out of memory\n");
    return static_cast<int>(tern::ErrorCode::kResource);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tern: %s\n", error.what());
    return static_cast<int>(tern::ErrorCode::kFailed);
  }
}
