// The subcommands: one file each. add_*() declares its options and sets the callback that runs it; a callback throws
// tern::Error, which main turns into a line and an exit code, or stores another exit code in `exit_code`.
#pragma once

#include <CLI/CLI.hpp>

namespace tern {

struct Subcommands {
  int exit_code = 0;

  void add_run(CLI::App& app);
  void add_chat(CLI::App& app);
  void add_serve(CLI::App& app);
  void add_pull(CLI::App& app);
  void add_info(CLI::App& app);
  void add_tokenize(CLI::App& app);
  void add_embed(CLI::App& app);
  void add_bench(CLI::App& app);
  void add_bench_serve(CLI::App& bench);  // parts of it
  void add_bench_simulate(CLI::App& bench);
  void add_bench_offline(CLI::App& bench);
  void add_eval(CLI::App& app);
  void add_synth(CLI::App& app);
  void add_kernels(CLI::App& app);
};

}  // namespace tern
