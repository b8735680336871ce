// tern bench serve: a load for any OpenAI-compatible server, reported in vllm bench serve's lines and keys.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/bench_serve_options.h"
#include "cli/subcommands.h"
#include "core/error.h"

namespace tern {
namespace {

// Far from any index of the run itself, so that warming up does not warm its prompts (a shared prefix it does).
constexpr size_t kWarmupBase = size_t{1} << 40;

std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  return text;
}

void warm_up(const LoadTarget& target, PlanOptions options, size_t count, const PromptMaker& prompts) {
  if (count == 0) return;
  options.num_prompts = count;
  options.conversations = 0;
  std::vector<PlannedRequest> plan = plan_requests(options);
  for (PlannedRequest& request : plan) request.at_s = 0;
  const LoadResult result = run_load(target, plan, prompts, kWarmupBase);
  for (const RequestRecord& record : result.records) {
    if (!record.success()) fail(ErrorCode::kFailed, "[bench] a request of the warm-up failed: " + record.error);
  }
}

std::string result_path(const BenchServeOptions& options) {
  namespace fs = std::filesystem;
  std::string name = options.result_filename;
  if (name.empty()) {
    const std::string model = options.model.substr(options.model.rfind('/') + 1);
    const std::string limit = options.max_concurrency > 0 ? fmt::format("-concurrency{}", options.max_concurrency) : "";
    name = fmt::format("{}-{}qps{}-{}-{}.json", options.label.empty() ? "openai" : options.label, options.request_rate,
                       limit, model, time_stamp());
  }
  if (options.result_dir.empty()) return name;
  std::error_code failed;
  fs::create_directories(options.result_dir, failed);
  return (fs::path(options.result_dir) / name).string();
}

void save(const BenchServeOptions& options, const std::string& text) {
  const std::string path = result_path(options);
  std::ofstream file(path, std::ios::binary);
  file << text << '\n';
  file.close();
  if (!file) fail(ErrorCode::kFailed, "[bench] " + printable(path) + " cannot be written");
  fmt::print(stderr, "result in {}\n", path);
}

int run_bench_serve(BenchServeOptions& options) {
  options.report();  // flags that are wrong are better found before than after
  const PlanOptions plan_options = options.plan();
  LoadTarget target = options.target();
  const auto patience = std::chrono::milliseconds(std::llround(options.ready_timeout_s * 1e3));
  const std::string served = first_model(target, patience);
  if (options.model.empty()) options.model = served;
  target.style.model = options.model;
  const PromptMaker prompts(options.seed, measure_token_rate(target), options.prefix_len);
  warm_up(target, plan_options, options.warmups, prompts);

  const LoadResult result = run_load(target, plan_requests(plan_options), prompts);
  const ReportOptions report_options = options.report();
  const LoadReport report = summarize(result, report_options);
  for (const auto& [reason, count] : report.failures) fmt::print(stderr, "{} failed: {}\n", count, reason);
  fmt::print(stderr, "the load generator used {:.2f} s of CPU, {:.1f} % of one core\n", report.client_cpu_s,
             100 * report.client_cpu_s / report.duration_s);
  nlohmann::ordered_json json = to_json(report, result, report_options);
  json["date"] = time_stamp();
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (options.save_result) save(options, text);
  const std::string shown = options.json ? text + "\n" : to_text(report, report_options);
  std::printf("%s", shown.c_str());
  return report.completed > 0 ? 0 : static_cast<int>(ErrorCode::kFailed);
}

}  // namespace

void Subcommands::add_bench_serve(CLI::App& bench) {
  auto options = std::make_shared<BenchServeOptions>();
  CLI::App* command = bench.add_subcommand("serve", "Load a server, in vllm bench serve's options and lines");
  options->add(*command);
  command->callback([this, options] { exit_code = run_bench_serve(*options); });
}

}  // namespace tern
