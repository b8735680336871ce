// tern run MODEL PROMPT: one answer, streamed; or a file of prompts as one batch.
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/answer.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

using Json = nlohmann::json;

struct RunOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::string prompt;
  std::string system;
  std::string prompts_file;
  int64_t parallel = 16;
  bool raw = false;
  bool json = false;
  bool verbose = false;
};

std::vector<int32_t> prompt_of_text(const Model& model, const RunOptions& options, const std::string& text) {
  if (options.raw || (!model.has_chat_template() && options.system.empty())) return text_prompt(model, text);
  std::vector<jinja::Value> messages;
  if (!options.system.empty()) messages.push_back(chat_message("system", options.system));
  messages.push_back(chat_message("user", text));
  return chat_prompt(model, {.messages = jinja::Value::list(std::move(messages))});
}

std::vector<int32_t> prompt_of_line(const Model& model, const RunOptions& options, const std::string& line) {
  const auto within_depth = [](int depth, Json::parse_event_t, Json&) {
    if (depth > static_cast<int>(Limits::kJsonDepth)) bad_input("[prompts] a line is nested too deep");
    return true;
  };
  const Json value = Json::parse(line, within_depth, false);
  if (value.is_string()) return prompt_of_text(model, options, value.get<std::string>());
  if (!value.is_object()) bad_input("[prompts] a line is neither a JSON string nor an object");
  if (value.contains("prompt_ids")) {
    const Json& ids = value["prompt_ids"];
    const bool whole = ids.is_array() && std::all_of(ids.begin(), ids.end(), [](const Json& id) {
                         return id.is_number_integer() && id >= 0 && id <= INT32_MAX;
                       });
    if (!whole) bad_input("[prompts] prompt_ids is not an array of token ids");
    return ids.get<std::vector<int32_t>>();
  }
  if (value.contains("messages")) {
    return chat_prompt(model, {.messages = jinja::value_from_json(value["messages"].dump())});
  }
  if (value.contains("prompt") && value["prompt"].is_string()) {
    return prompt_of_text(model, options, value["prompt"].get<std::string>());
  }
  bad_input("[prompts] an object needs \"prompt\", \"prompt_ids\" or \"messages\"");
}

// Answers one prompt, calling `on_text` with each piece as it comes.
template <typename OnText>
Answer answer_one(Model& model, std::vector<int32_t> prompt, const GenerationParams& params, const OnText& on_text) {
  Session session(model);
  Answer answer;
  answer.prompt_ids = prompt;
  answer.seed = params.sampling.seed;
  answer.wants_logprobs = params.logprobs >= 0;
  answer.submitted_ns = steady_now_ns();
  session.submit(std::move(prompt), params);
  std::vector<TextEvent> events;
  bool more = true;
  while (more) {
    events.clear();
    more = session.step(events);
    for (const TextEvent& event : events) {
      answer.add(event);
      on_text(event.text);
    }
    if (std::ferror(stdout) != 0) return answer;  // the reader went away
  }
  return answer;
}

void print_timings(const Answer& answer, const Model& model) {
  const double prompt_rate = static_cast<double>(answer.prompt_ids.size()) / std::max(answer.prompt_ms(), 1e-3) * 1e3;
  const double decode_rate = static_cast<double>(answer.decode_tokens()) / std::max(answer.decode_ms(), 1e-3) * 1e3;
  std::fprintf(
      stderr,
      "load %lld ms, packed weights: cache %s | prompt %zu tokens, %.0f tokens/s | answer %zu tokens, %.1f tokens/s\n",
      static_cast<long long>(model.load_ms()), name_of(model.runner().pack_cache().state).data(),
      answer.prompt_ids.size(), prompt_rate, answer.ids.size(), decode_rate);
}

int run_single(const RunOptions& options) {
  const auto model = Model::load(options.model.path(PullMode::kFetch), options.model.load_options(1));
  const GenerationParams params = options.sampling.params(*model);
  const Answer answer =
      answer_one(*model, prompt_of_text(*model, options, options.prompt), params, [&](const std::string& text) {
        if (options.json) return;
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
      });
  if (options.json) {
    std::printf("%s\n", to_json_line(answer, *model).c_str());
  } else {
    std::printf("\n");
    if (options.verbose) print_timings(answer, *model);
  }
  if (answer.finish != FinishReason::kError) return 0;
  std::fprintf(stderr, "tern: %s: the model's logits are not finite\n",
               model->facts().checkpoint->metadata.source().c_str());
  return static_cast<int>(ErrorCode::kFailed);
}

// The lines of a file as one batch, at most `parallel` at a time; one output line each, in order.
class PromptBatch {
 public:
  PromptBatch(Model& model, const RunOptions& options) : model_(model), options_(options), session_(model) {}

  int run(std::istream& lines) {
    std::vector<TextEvent> events;
    bool more = true;
    while (more || !in_flight_.empty()) {
      more = fill(lines);
      events.clear();
      session_.step(events);
      for (const TextEvent& event : events) handle(event);
      print_finished();
      if (std::ferror(stdout) != 0) return static_cast<int>(ErrorCode::kFailed);  // the reader went away
    }
    return failed_ ? static_cast<int>(ErrorCode::kFailed) : 0;
  }

 private:
  struct Line {
    bool done = false;
    std::string output;
    Answer answer;
  };

  bool fill(std::istream& lines) {
    std::string line;
    while (static_cast<int64_t>(in_flight_.size()) < options_.parallel) {
      if (!std::getline(lines, line)) return false;
      submit(line);
    }
    return true;
  }

  void submit(const std::string& text) {
    lines_.push_back(std::make_unique<Line>());
    Line& line = *lines_.back();
    try {
      line.answer.submitted_ns = steady_now_ns();
      std::vector<int32_t> prompt = prompt_of_line(model_, options_, text);
      const GenerationParams params = options_.sampling.params(model_);
      line.answer.prompt_ids = prompt;
      line.answer.seed = params.sampling.seed;
      line.answer.wants_logprobs = params.logprobs >= 0;
      in_flight_[session_.submit(std::move(prompt), params)] = &line;
    } catch (const Error& error) {
      failed_ = true;
      line.done = true;
      line.output = error_json_line(std::string(name_of(error.code())), error.what());
    }
  }

  void handle(const TextEvent& event) {
    Line& line = *in_flight_.at(event.request);
    line.answer.add(event);
    if (event.finish == FinishReason::kNone) return;
    if (event.finish == FinishReason::kError) failed_ = true;
    line.done = true;
    line.output = to_json_line(line.answer, model_);
    in_flight_.erase(event.request);
  }

  void print_finished() {
    while (!lines_.empty() && lines_.front()->done) {
      std::printf("%s\n", lines_.front()->output.c_str());
      std::fflush(stdout);
      lines_.pop_front();
    }
  }

  Model& model_;
  const RunOptions& options_;
  Session session_;
  std::deque<std::unique_ptr<Line>> lines_;
  std::map<RequestId, Line*> in_flight_;
  bool failed_ = false;
};

int run_prompts(const RunOptions& options) {
  std::istringstream lines(read_file(options.prompts_file));
  const auto model = Model::load(options.model.path(PullMode::kFetch), options.model.load_options(options.parallel));
  return PromptBatch(*model, options).run(lines);
}

}  // namespace

void Subcommands::add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Answer one prompt, or a file of prompts");
  options->model.add_model(*command);
  command->add_option("PROMPT,-p,--prompt", options->prompt, "The prompt; - reads standard input");
  options->model.add_load(*command);
  options->sampling.add(*command);
  command->add_option("--system", options->system, "System message");
  command->add_option("--prompts", options->prompts_file, "File with a prompt a line: a JSON string or object");
  command->add_option("--parallel", options->parallel, "Prompts of the file answered at a time")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--raw", options->raw, "No chat template");
  command->add_flag("--json", options->json, "One JSON object instead of text");
  command->add_flag("-v,--verbose", options->verbose, "Print timings at the end");
  command->callback([this, options, command] {
    if (!options->prompts_file.empty()) {
      exit_code = run_prompts(*options);
      return;
    }
    if (command->count("PROMPT") == 0) bad_input("[run] a PROMPT or --prompts FILE is needed");
    if (options->prompt == "-") options->prompt = read_file("/dev/stdin");
    exit_code = run_single(*options);
  });
}

}  // namespace tern
