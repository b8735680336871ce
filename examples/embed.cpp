// tern inside another program: several questions at once, each answer read as it grows.
//
//   build/release/examples/embed MODEL.gguf ["QUESTION" ...]
#include <tern/tern.h>

#include <cstdio>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: embed MODEL [QUESTION ...]\n");
    return 2;
  }
  std::vector<std::string> questions(argv + 2, argv + argc);
  if (questions.empty()) questions = {"Name three colours.", "Why is the sky blue?"};
  try {
    tern::embed::Engine engine = tern::embed::Engine::load(argv[1], {.max_sequences = 4});

    // All are answered together; reading one does not hold up the others.
    std::vector<tern::embed::Stream> answers;
    for (const std::string& question : questions) {
      answers.push_back(engine.submit({.messages = {{"user", question}}, .max_tokens = 48, .temperature = 0}));
    }
    for (size_t i = 0; i < answers.size(); ++i) {
      std::printf("\n> %s\n", questions[i].c_str());
      while (const auto event = answers[i].next()) {
        std::fputs(event->text.c_str(), stdout);
        std::fflush(stdout);
        if (event->finish == tern::embed::Finish::kError) std::fprintf(stderr, "%s\n", event->error.c_str());
      }
      std::puts("");
    }

    // An answer that nobody wants any more.
    tern::embed::Stream unwanted = engine.submit({.messages = {{"user", "Count to a thousand."}}, .ignore_eos = true});
    unwanted.next();
    unwanted.cancel();
    tern::embed::Event last;
    unwanted.rest(&last);
    const tern::embed::Stats stats = engine.stats();
    std::printf("\ncancelled after %lld tokens; %lld steps computed %lld prompt and %lld answer tokens\n",
                static_cast<long long>(last.answer_tokens), static_cast<long long>(stats.steps),
                static_cast<long long>(stats.prompt_tokens), static_cast<long long>(stats.answer_tokens));
    return 0;
  } catch (const tern::embed::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
