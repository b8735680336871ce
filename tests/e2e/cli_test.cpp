// The command line's contract: keys of the JSON outputs, exit codes, one-line errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"
#include "support/paths.h"
#include "support/real_model.h"

namespace tern::test {
namespace {

using Json = nlohmann::json;

Json json_of(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out.push_back(Json::parse(line, nullptr, false));
  return out;
}

TEST(Run, JsonHasEveryKey) {
  const Json answer = json_of(run_tern(
      {"run", tiny_model(), "hello", "--raw", "--greedy", "-n", "7", "--ignore-eos", "--json", "--logprobs", "3"}));
  for (const char* key : {"prompt_ids", "ids", "text", "finish_reason", "seed", "timings", "logprobs"}) {
    EXPECT_TRUE(answer.contains(key)) << key;
  }
  for (const char* key : {"load_ms", "prompt_ms", "prompt_tokens", "decode_ms", "decode_tokens", "peak_rss_bytes"}) {
    EXPECT_TRUE(answer["timings"].contains(key)) << key;
  }
  for (const char* key : {"state", "bytes", "reason"}) EXPECT_TRUE(answer["pack_cache"].contains(key)) << key;
  EXPECT_EQ(answer["ids"].size(), 7u);
  EXPECT_EQ(answer["finish_reason"], "length");
  EXPECT_EQ(answer["timings"]["decode_tokens"], 6);
  ASSERT_EQ(answer["logprobs"].size(), 7u);
  const Json& first = answer["logprobs"][0];
  EXPECT_EQ(first["id"], answer["ids"][0]);
  ASSERT_EQ(first["top"].size(), 3u);
  EXPECT_EQ(first["top"][0][0], first["id"]);
  EXPECT_EQ(first["top"][0][1], first["logprob"]);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// SmolLM2's weights are 96.6 MB; what is resident beside them at the first token was 9.5 MiB when this was written.
TEST(Run, LittleIsResidentBesideTheWeights) {
  TERN_NEED_SMOLLM2(model);
  std::string huge_pages;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled") >> std::ws, huge_pages);
  if (huge_pages.starts_with("[always]")) GTEST_SKIP() << "every large block takes whole huge pages here";
  const std::filesystem::path cache = std::filesystem::path(testing::TempDir()) / "pack_cache_of_peak";
  std::filesystem::remove_all(cache);
  for (const char* state : {"miss", "hit"}) {
    const Json answer =
        json_of(run_tern({"run", model, "Hello", "--raw", "--greedy", "-n", "1", "-c", "2048", "-t", "2", "--json"},
                         {"TERN_CACHE=" + cache.string()}));
    EXPECT_EQ(answer["pack_cache"]["state"], state);
    EXPECT_LT(answer["timings"]["peak_rss_bytes"], 116'000'000) << state;
  }
  std::filesystem::remove_all(cache);
}
#endif

// Packed weights are kept in the cache folder; the answer is the same with them and without.
TEST(Run, TheSecondStartFindsPackedWeights) {
  TERN_NEED_SMOLLM2(model);
  const std::filesystem::path cache = std::filesystem::path(testing::TempDir()) / "pack_cache_of_run";
  std::filesystem::remove_all(cache);
  const auto answer = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"run", model, "Hello", "--greedy", "-n", "4", "--json", "--logprobs", "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json_of(run_tern(arguments, {"TERN_CACHE=" + cache.string()}));
  };
  const Json off = answer({"--no-pack-cache"});
  EXPECT_EQ(off["pack_cache"]["state"], "off");
  EXPECT_FALSE(std::filesystem::exists(cache));
  const Json miss = answer({}), hit = answer({});
  EXPECT_EQ(miss["pack_cache"]["state"], "miss");
  EXPECT_EQ(hit["pack_cache"]["state"], "hit");
  EXPECT_EQ(hit["logprobs"], off["logprobs"]);
  EXPECT_EQ(miss["logprobs"], off["logprobs"]);
  // Other work on the machine may fall on any one start: the quickest of a few tells.
  double with = hit["timings"]["load_ms"], without = off["timings"]["load_ms"];
  for (int i = 0; i < 8 && with >= without; ++i) {
    with = std::min(with, answer({})["timings"]["load_ms"].get<double>());
    without = std::min(without, answer({"--no-pack-cache"})["timings"]["load_ms"].get<double>());
  }
  EXPECT_LT(with, without);
  const Outcome none = run_tern({"run", model, "Hello", "-n", "1", "--pack-cache-bytes", "1k"},
                                {"TERN_CACHE=" + (cache / "small").string()});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_NE(none.err.find("warning: [pack-cache]"), std::string::npos) << none.err;
  std::filesystem::remove_all(cache);
}

TEST(Run, SeedDecidesTheAnswer) {
  const std::vector<std::string> base{"run", tiny_model(),   "abc",    "--raw",         "-n",
                                      "12",  "--ignore-eos", "--json", "--temperature", "1.5"};
  const auto with_seed = [&](const std::string& seed) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), {"--seed", seed});
    return json_of(run_tern(arguments))["ids"];
  };
  EXPECT_EQ(with_seed("5"), with_seed("5"));
  EXPECT_NE(with_seed("5"), with_seed("6"));
}

TEST(Run, PromptsFileAnswersInOrderAndBadLinesKeepTheirPlace) {
  const std::string file = temporary_file("prompts.jsonl",
                                          "\"one\"\n{\"prompt_ids\": [5, 6, 7]}\n{\"prompt_ids\": [99999]}\nnonsense\n"
                                          "{\"prompt\": \"two words\"}\n");
  const Outcome outcome = run_tern({"run", tiny_model(), "--prompts", file, "--raw", "--greedy", "-n", "5",
                                    "--ignore-eos", "--parallel", "2", "--json"});
  EXPECT_EQ(outcome.exit_code, 1);
  const std::vector<Json> lines = json_lines(outcome.out);
  ASSERT_EQ(lines.size(), 5u) << outcome.err;
  EXPECT_EQ(lines[1]["prompt_ids"], Json::parse("[5,6,7]"));
  EXPECT_TRUE(lines[2]["error"]["message"].get<std::string>().find("99999") != std::string::npos);
  EXPECT_TRUE(lines[3].contains("error"));
  // In company and alone: the same tokens.
  const Json alone =
      json_of(run_tern({"run", tiny_model(), "two words", "--raw", "--greedy", "-n", "5", "--ignore-eos", "--json"}));
  EXPECT_EQ(lines[4]["ids"], alone["ids"]);
}

TEST(Run, StopStringsCutTheText) {
  const Json whole =
      json_of(run_tern({"run", tiny_model(), "abc", "--raw", "--greedy", "-n", "30", "--ignore-eos", "--json"}));
  const std::string text = whole["text"];
  ASSERT_GT(text.size(), 6u);
  const std::string stop = text.substr(4, 2);
  if (static_cast<unsigned char>(stop[0]) >= 0x80 || static_cast<unsigned char>(stop[1]) >= 0x80)
    GTEST_SKIP() << "the model's text is not ASCII there";
  const Json cut = json_of(run_tern(
      {"run", tiny_model(), "abc", "--raw", "--greedy", "-n", "30", "--ignore-eos", "--json", "--stop", stop}));
  EXPECT_EQ(cut["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(cut["finish_reason"], "stop");
}

TEST(Run, TooLongAPromptIsRefusedWithBothNumbers) {
  const Outcome outcome =
      run_tern({"run", tiny_model(), std::string(300, 'x'), "--raw", "--max-model-len", "64", "-n", "4"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.err.find("64"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("300"), std::string::npos) << outcome.err;
}

TEST(Run, ChunkingAndThreadsDoNotChangeTheAnswer) {
  const std::vector<std::string> base{"run",
                                      tiny_model(),
                                      "the quick brown fox jumps over the lazy dog",
                                      "--raw",
                                      "--greedy",
                                      "-n",
                                      "20",
                                      "--ignore-eos",
                                      "--json",
                                      "--logprobs",
                                      "5"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json_of(run_tern(arguments))["logprobs"];
  };
  const Json plain = with({"-t", "1"});
  EXPECT_EQ(plain, with({"-t", "2"}));
  EXPECT_EQ(plain, with({"-t", "2", "--max-num-batched-tokens", "7"}));
}

TEST(Run, ModelFlagMayStandAnywhere) {
  const Json a = json_of(run_tern({"run", tiny_model(), "abc", "--raw", "--greedy", "-n", "5", "--json"}));
  const Json b = json_of(run_tern({"run", "abc", "--raw", "-m", tiny_model(), "--greedy", "-n", "5", "--json"}));
  EXPECT_EQ(a["ids"], b["ids"]);
}

TEST(Tokenize, PlainAndSpecialAndLines) {
  const Json tokens = json_of(run_tern({"tokenize", tiny_model(), "hello world", "--json"}));
  EXPECT_EQ(tokens["ids"].size(), tokens["pieces"].size());
  const std::string file = temporary_file("lines.jsonl", "\"hello world\"\n\"\"\n\"\\u00e9\"\n");
  const Outcome outcome = run_tern({"tokenize", tiny_model(), "--lines", file, "--json"});
  const std::vector<Json> lines = json_lines(outcome.out);
  ASSERT_EQ(lines.size(), 3u) << outcome.err;
  EXPECT_EQ(lines[0]["ids"], tokens["ids"]);
}

TEST(Embed, AVectorOfLengthOneForEachText) {
  const std::string encoder = test::golden_dir() + "/encoders/bert-tiny/model.gguf";
  const Json both = json_of(run_tern({"embed", encoder, "a", "hello world", "--json"}));
  ASSERT_EQ(both["embeddings"].size(), 2u);
  EXPECT_EQ(both["dimensions"], 64);
  EXPECT_EQ(json_of(run_tern({"embed", encoder, "hello world", "--json"}))["embeddings"][0], both["embeddings"][1]);
  double squares = 0;
  for (const Json& value : both["embeddings"][1]) squares += value.get<double>() * value.get<double>();
  EXPECT_NEAR(squares, 1.0, 1e-5);
}

TEST(Embed, LongTextsAreRefusedOrCut) {
  const std::string encoder = test::golden_dir() + "/encoders/bert-tiny/model.gguf";
  std::string text;
  for (int i = 0; i < 400; ++i) text += "a ";
  const Outcome refused = run_tern({"embed", encoder, text});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("not 1 to 320"), std::string::npos) << refused.err;
  EXPECT_EQ(json_of(run_tern({"embed", encoder, text, "--truncate", "--json"}))["tokens"], 320);
}

TEST(Embed, AModelThatWritesTextHasNoVectors) {
  const Outcome outcome = run_tern({"embed", tiny_model(), "hello"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.err.find("writes text and makes no vectors"), std::string::npos) << outcome.err;
}

TEST(Eval, LogitsAreTokensTimesVocabulary) {
  const std::string ids = temporary_file("ids.txt", "1 2 3\n4, 5\n");
  const std::string out = temporary_file("logits.f32", "");
  const Outcome outcome = run_tern({"eval", "logits", tiny_model(), "--ids", ids, "-o", out});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::ifstream file(out, std::ios::binary | std::ios::ate);
  EXPECT_EQ(file.tellg(), 5 * 320 * 4);
}

TEST(Eval, PerplexityReportsItsCounts) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "word" + std::to_string(i % 17) + " ";
  const std::string file = temporary_file("text.txt", text);
  const Json result =
      json_of(run_tern({"eval", "perplexity", tiny_model(), file, "--ctx", "64", "--chunks", "3", "--json"}));
  EXPECT_EQ(result["chunks"], 3);
  EXPECT_EQ(result["ctx"], 64);
  EXPECT_EQ(result["tokens"], 3 * 31);
  EXPECT_NEAR(result["ppl"].get<double>(), std::exp(result["nll_mean"].get<double>()), 1e-6);
}

TEST(Bench, JsonHasLlamaBenchsKeys) {
  const Json rows =
      json_of(run_tern({"bench", tiny_model(), "-p", "16", "-n", "4", "-t", "1", "-r", "2", "-o", "json"}));
  ASSERT_EQ(rows.size(), 2u);
  for (const char* key :
       {"model_filename", "model_type", "model_size", "model_n_params", "n_threads", "type_k", "type_v", "n_prompt",
        "n_gen", "n_depth", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns", "samples_ts"}) {
    EXPECT_TRUE(rows[0].contains(key)) << key;
  }
  EXPECT_EQ(rows[0]["n_prompt"], 16);
  EXPECT_EQ(rows[1]["n_gen"], 4);
  // A number where the machine has a counter, else null and why.
  const Json& joules = rows[0].at("joules_per_token");
  if (rows[0].at("energy_source") == "RAPL") {
    EXPECT_GE(joules.get<double>(), 0);
  } else {
    EXPECT_TRUE(joules.is_null());
    EXPECT_NE(rows[0]["energy_source"], "");
  }
}

TEST(BenchRoofline, WithoutAModelPrintsTheLimits) {
  const Json result = json_of(run_tern({"bench", "--roofline", "-t", "1", "-o", "json"}));
  for (const char* key : {"read_4k_gbps", "read_huge_gbps", "int8_gops", "bf16_gflops", "f32_gflops"}) {
    EXPECT_GT(result["limits"][key].get<double>(), 0) << key;
  }
  for (const char* key : {"int8_tile_gops", "bf16_tile_gflops"}) {  // 0 where there are no tiles
    EXPECT_GE(result["limits"][key].get<double>(), 0) << key;
    EXPECT_EQ(result["limits"]["by_threads"][0][key], result["limits"][key]) << key;
  }
  EXPECT_TRUE(result["ops"].empty());
}

// The op's row belongs to the phase.
bool is_of(const Json& op, const Json& phase) {
  for (const char* key : {"phase", "n_threads", "n_sequences", "n_tokens", "n_depth"}) {
    if (op[key] != phase[key]) return false;
  }
  return true;
}

// No share far above its limit, and steps as long as what is in them.
bool fits_together(const Json& result) {
  if (result.is_null()) return false;
  for (const Json& op : result["ops"]) {
    if (op["share"].get<double>() > 1.3) return false;
  }
  for (const Json& phase : result["phases"]) {
    double us = phase["waiting_us"];
    for (const Json& op : result["ops"]) us += is_of(op, phase) ? op["us"].get<double>() : 0;
    if (std::abs(us - phase["step_us"].get<double>()) > 0.2 * phase["step_us"].get<double>()) return false;
  }
  return true;
}

// Times of a run beside other processes do not fit together: another one is tried, and the last is held against all.
TEST(BenchRoofline, HoldsEachOpAgainstItsLimit) {
  Json result;
  for (int attempt = 0; attempt < 8 && !fits_together(result); ++attempt) {
    result = json_of(run_tern({"bench", "--roofline", tiny_model(), "-t", "1,2", "-d", "0,40", "-npl", "1,3", "-p",
                               "32", "-r", "3", "-o", "json"}));
  }
  ASSERT_TRUE(result["limits"].is_object());
  ASSERT_FALSE(result["ops"].empty());
  for (const Json& op : result["ops"]) {
    for (const char* key : {"us", "bytes", "share"}) EXPECT_GT(op[key].get<double>(), 0) << op;
    EXPECT_LE(op["share"].get<double>(), 1.3) << op;
    EXPECT_GE(op["ops"].get<double>(), 0) << op;
    for (const char* key : {"name", "kernel", "bound"}) EXPECT_FALSE(op[key].get<std::string>().empty()) << op;
  }
  size_t steps = 0;
  for (const Json& phase : result["phases"]) {
    double us = phase["waiting_us"];
    bool attention = false;
    for (const Json& op : result["ops"]) {
      const bool same = is_of(op, phase);
      if (same) us += op["us"].get<double>();
      attention |= same && op["name"] == "attention";
    }
    EXPECT_TRUE(attention) << phase;
    // Medians of ops and of steps are not of the same step: beside other processes they drift apart a little.
    EXPECT_NEAR(us, phase["step_us"].get<double>(), 0.2 * phase["step_us"].get<double>()) << phase;
    ++steps;
  }
  EXPECT_EQ(steps % 6, 0u);  // (two sequence counts and a prompt) at two depths, for each thread count
}

// Attention at depth 40 reads 41 keys where at depth 0 it reads one, of three sequences three times as many.
TEST(BenchRoofline, CountsHistories) {
  const Json result = json_of(
      run_tern({"bench", "--roofline", tiny_model(), "-t", "1", "-d", "0,40", "-npl", "1,3", "-p", "0", "-o", "json"}));
  const auto ops = [&](int64_t sequences, int64_t depth) {
    for (const Json& op : result["ops"]) {
      if (op["name"] == "attention" && op["n_sequences"] == sequences && op["n_depth"] == depth) {
        return op["ops"].get<double>();
      }
    }
    return 0.0;
  };
  ASSERT_GT(ops(1, 0), 0);
  EXPECT_EQ(ops(1, 40), 41 * ops(1, 0));
  EXPECT_EQ(ops(3, 40), 3 * ops(1, 40));
}

TEST(Info, ReadmeShowsTheTableOfArchitectures) {
  const Outcome table = run_tern({"info", "--architectures"});
  EXPECT_EQ(table.exit_code, 0);
  std::ifstream file(test::source_dir() + "/README.md");
  const std::string readme{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_NE(readme.find("\n" + table.out), std::string::npos) << table.out;
}

TEST(Info, JsonAndProgram) {
  const Json info = json_of(run_tern({"info", tiny_model(), "--json"}));
  EXPECT_EQ(info["architecture"], "llama");
  EXPECT_EQ(info["vocabulary"], 320);
  const Outcome program = run_tern({"info", tiny_model(), "--program"});
  EXPECT_NE(program.out.find("rope_kv"), std::string::npos);
}

TEST(Kernels, RefEverywhereIsAllowedAndNonsenseIsNot) {
  const Json kernels = json_of(run_tern({"kernels", "--json"}, {"TERN_KERNELS=ref"}));
  for (const Json& row : kernels["kernels"]) EXPECT_EQ(row["allowed"], row["name"] == "ref") << row;
  EXPECT_EQ(run_tern({"kernels"}, {"TERN_KERNELS=nonsense:ref"}).exit_code, 2);
}

// "--model" of bench serve is a name that requests carry, and a server that is not there is no bad input.
TEST(BenchServe, TellsThatNobodyListens) {
  const Outcome outcome = run_tern(
      {"bench", "serve", "--base-url", "http://127.0.0.1:1", "--model", "name", "--ready-check-timeout-sec", "0"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "tern: [bench] 127.0.0.1:1: connecting: Connection refused\n");
}

TEST(Serve, HelpNamesLimitsAndFields) {
  const Outcome help = run_tern({"serve", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("request-body-bytes"), std::string::npos);
  EXPECT_NE(help.out.find("413 body_too_large"), std::string::npos);
  EXPECT_EQ(help.out.find("tensor-dims"), std::string::npos);  // of model files: no client's business
  const Outcome limits = run_tern({"--help-limits"});
  EXPECT_EQ(limits.exit_code, 0);
  EXPECT_NE(limits.out.find("tensor-dims"), std::string::npos);
  const Outcome fields = run_tern({"serve", "--help-fields"});
  EXPECT_EQ(fields.exit_code, 0);
  EXPECT_NE(fields.out.find("| `temperature` | number, 0 to 100 | 1 |"), std::string::npos);
}

// A model as a GGUF file and as the folder of safetensors and tokenizer.json that it was converted from.
TEST(Run, FolderIsAsItsGguf) {
  const std::string folder = test::golden_dir() + "/models/llama-tiny/";
  const auto answer = [](const std::string& model) {
    return json_of(
        run_tern({"run", model, "The quick brown fox", "--raw", "--greedy", "-n", "6", "--ignore-eos", "--json"}));
  };
  const Json from_file = answer(folder + "model.gguf"), from_folder = answer(folder + "hf");
  EXPECT_GT(from_file["prompt_ids"].size(), 4u);
  EXPECT_EQ(from_folder["prompt_ids"], from_file["prompt_ids"]);
  EXPECT_EQ(from_folder["ids"], from_file["ids"]);
  EXPECT_EQ(from_folder["text"], from_file["text"]);
  const auto tokens = [](const std::string& model) {
    return json_of(run_tern({"tokenize", model, "don't 123", "--json"}));
  };
  EXPECT_EQ(tokens(folder + "hf"), tokens(folder + "model.gguf"));
}

// A synthetic model by its name and as the file that `tern synth` writes: the same answer.
TEST(Synth, NameAndFileAreTheSameModel) {
  const std::string file = temporary_file("synthetic.gguf", "");
  const std::string config = test::golden_dir() + "/models/llama-tiny/hf";
  const Outcome written = run_tern({"synth", config, "--type", "q8_0", "--seed", "5", "-o", file});
  EXPECT_EQ(written.exit_code, 0) << written.err;
  const auto answer = [](const std::string& model) {
    return json_of(run_tern({"run", model, "some words", "--greedy", "-n", "9", "--ignore-eos", "--json"}));
  };
  const Json from_file = answer(file), from_name = answer("synth:" + config + ":q8_0:5");
  EXPECT_EQ(from_file["ids"], from_name["ids"]);
  EXPECT_EQ(from_file["ids"].size(), 9u);
  EXPECT_NE(from_file["ids"], answer("synth:" + config + ":q8_0:6")["ids"]);
}

TEST(Synth, EverySubcommandTakesTheName) {
  const std::string model = "synth:" + test::golden_dir() + "/models/qwen2-tiny/hf/config.json:f16";
  const Json facts = json_of(run_tern({"info", model, "--json"}));
  EXPECT_EQ(facts["path"], model + ":0");
  EXPECT_EQ(facts["architecture"], "qwen2");
  EXPECT_EQ(run_tern({"info", model, "--program"}).exit_code, 0);
  EXPECT_EQ(json_of(run_tern({"tokenize", model, "--json", "hello"}))["ids"].size() > 0, true);
  EXPECT_EQ(json_of(run_tern({"bench", model, "-p", "8", "-n", "2", "-r", "1", "-o", "json"})).size(), 2u);
  EXPECT_NE(run_tern({"synth", "--help"}).out.find("llama-3.2-1b"), std::string::npos);
}

TEST(Errors, BadFilesAndFlagsEndInOneLineAndCodeTwo) {
  const std::string garbage = temporary_file("garbage.gguf", "GGUF\3\0\0\0 this is not a model");
  const std::vector<std::vector<std::string>> cases{
      {"run", "/nonexistent/model.gguf", "x"},
      {"run", garbage, "x"},
      {"info", garbage},
      {"run", tiny_model(), "x", "--max-model-len", "many"},
      {"run", tiny_model(), "x", "--kv-cache-dtype", "int3"},
      {"run", tiny_model(), "x", "--top-p", "1.5"},
      {"run", tiny_model(), "x", "--no-such-flag"},
      {"tokenize", tiny_model()},
      {"bench", tiny_model(), "-t", "x"},
      {"bench", "-r", "3"},
      {"run", "synth:no-such-shape", "x"},
      {"synth", "smollm2-135m", "--type", "q9", "-o", "/nonexistent/x.gguf"},
      {"bench", "--roofline", "-t", ""},
      {"bench", "--roofline", tiny_model(), "-npl", "0"},
      {"bench", "serve", "--base-url", "https://127.0.0.1"},
      {"bench", "serve", "--request-rate", "0"},
      {"bench", "serve", "--input-lengths", "uniform:9:5"},
      {"bench", "serve", "--goodput", "speed:9"},
  };
  for (const auto& arguments : cases) {
    const Outcome outcome = run_tern(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments[0] << " " << arguments[1] << ": " << outcome.err;
    EXPECT_TRUE(outcome.out.empty()) << outcome.out;
    EXPECT_FALSE(outcome.err.empty());
  }
}

}  // namespace
}  // namespace tern::test
