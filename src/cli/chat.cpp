// tern chat MODEL: a conversation at the terminal. Ctrl-C stops the answer, not the program.
#include <editline/readline.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <vector>

#include "cli/answer.h"
#include "cli/options.h"
#include "cli/subcommands.h"
#include "core/error.h"

namespace tern {
namespace {

std::atomic<bool> interrupted{false};
void on_interrupt(int) { interrupted = true; }

struct ChatOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::string system;
};

// A line from the terminal with editing and history, or a plain one from a pipe. Nothing at the end of input.
std::optional<std::string> read_line(const char* prompt) {
  if (isatty(STDIN_FILENO) == 0) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  char* typed = readline(prompt);
  if (typed == nullptr) return std::nullopt;
  std::string line(typed);
  std::free(typed);
  if (!line.empty()) add_history(line.c_str());
  return line;
}

class Conversation {
 public:
  Conversation(Model& model, const ChatOptions& options)
      : model_(model), options_(options), session_(model), params_(options.sampling.params(model)) {
    restart();
  }

  void restart() {
    messages_.clear();
    if (!options_.system.empty()) messages_.push_back(chat_message("system", options_.system));
  }

  void say(const std::string& text) {
    messages_.push_back(chat_message("user", text));
    try {
      messages_.push_back(chat_message("assistant", stream_answer()));
    } catch (const Error& error) {  // a prompt that does not fit: the conversation stays as it was
      messages_.pop_back();
      std::fprintf(stderr, "%s\n", error.what());
    }
  }

 private:
  std::string stream_answer() {
    interrupted = false;
    const RequestId id = session_.submit(chat_prompt(model_, {.messages = jinja::Value::list(messages_)}), params_);
    ++params_.sampling.seed;
    std::string answer;
    std::vector<TextEvent> events;
    bool more = true;
    while (more) {
      if (interrupted.exchange(false)) session_.cancel(id);
      events.clear();
      more = session_.step(events);
      for (const TextEvent& event : events) {
        answer += event.text;
        std::fwrite(event.text.data(), 1, event.text.size(), stdout);
        std::fflush(stdout);
      }
    }
    std::printf("\n");
    return answer;
  }

  Model& model_;
  const ChatOptions& options_;
  Session session_;
  GenerationParams params_;
  std::vector<jinja::Value> messages_;
};

void print_help() {
  std::printf(
      "/help   this list\n/clear  forget the conversation\n/exit   leave (or Ctrl-D)\nCtrl-C  stop the answer\n");
}

// False when the conversation is to end.
bool handle_line(Conversation& conversation, const std::string& line) {
  if (line.empty()) return true;
  if (line == "/exit" || line == "/quit" || line == "/bye") return false;
  if (line == "/help" || line == "/?") {
    print_help();
  } else if (line == "/clear") {
    conversation.restart();
  } else if (line[0] == '/') {
    std::printf("%s is no command; /help lists them\n", line.c_str());
  } else {
    conversation.say(line);
  }
  return true;
}

void run_chat(const ChatOptions& options) {
  const auto model = Model::load(options.model.path(PullMode::kFetch), options.model.load_options(1));
  model->chat_template();  // refuses a model without one before anything is typed
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  if (isatty(STDIN_FILENO) != 0) std::printf("%s; /help lists the commands\n", model->facts().type_name().c_str());
  Conversation conversation(*model, options);
  while (const std::optional<std::string> line = read_line("> ")) {
    if (!handle_line(conversation, *line)) break;
  }
}

}  // namespace

void Subcommands::add_chat(CLI::App& app) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model at the terminal");
  options->model.add_model(*command);
  options->model.add_load(*command);
  options->sampling.add(*command);
  command->add_option("--system", options->system, "System message");
  command->callback([options] { run_chat(*options); });
}

}  // namespace tern
