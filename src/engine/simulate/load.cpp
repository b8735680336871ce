#include "engine/simulate/load.h"

#include <algorithm>
#include <cmath>

#include "engine/simulate/draws.h"

namespace tern {
namespace {

class LoadMaker {
 public:
  LoadMaker(const SimulatedLoad& options, const FakeModel& model)
      : options_(options),
        model_(model),
        draw_(options.seed),
        last_turn_(static_cast<size_t>(options.conversations), -1),
        turns_(static_cast<size_t>(options.conversations), 0) {
    for (int64_t group = 0; group < options.prefix_groups; ++group) {
      prefixes_.emplace_back();
      append_tokens(prefixes_.back(), options_.prefixes.draw(draw_.unit()));
    }
  }

  std::vector<SimulatedRequest> make() {
    out_.reserve(static_cast<size_t>(options_.requests));
    while (static_cast<int64_t>(out_.size()) < options_.requests) {
      add_one();
      if (draw_.chance(options_.siblings)) add_siblings();
    }
    return std::move(out_);
  }

 private:
  void append_tokens(std::vector<int32_t>& to, int64_t count) {
    while (count-- > 0) to.push_back(1 + static_cast<int32_t>(draw_.below(options_.alphabet)));
  }

  void add_one() {
    SimulatedRequest request;
    request.id = static_cast<int64_t>(out_.size());
    request.tenant = static_cast<uint32_t>(draw_.below(options_.tenants));
    request.priority = static_cast<int32_t>(draw_.below(options_.priorities));
    request.salt = static_cast<int32_t>(draw_.below(options_.salts));
    draw_answer(request);
    request.stops = options_.stops;
    if (options_.gap_ns > 0) request.pause_ns = exponential(options_.gap_ns);
    if (draw_.chance(options_.deadlines)) request.deadline_ns = 1 + exponential(options_.deadline_ns);
    write_prompt(request);
    add_fault(request);
    out_.push_back(std::move(request));
  }

  void draw_answer(SimulatedRequest& request) {
    request.length = options_.answers.draw(draw_.unit());
    request.max_tokens = std::max(request.length, options_.asked_tokens);
  }

  void write_prompt(SimulatedRequest& request) {
    if (options_.conversations > 0) return next_turn(request);
    if (!out_.empty() && draw_.chance(options_.repeated)) {
      request.prompt = out_[static_cast<size_t>(draw_.below(request.id))].prompt;
      return;
    }
    begin_prompt(request);
    append_tokens(request.prompt, options_.prompts.draw(draw_.unit()));
    limit(request);
  }

  void begin_prompt(SimulatedRequest& request) {
    if (prefixes_.empty()) return;
    request.prompt = prefixes_[static_cast<size_t>(draw_.below(static_cast<int64_t>(prefixes_.size())))];
  }

  void limit(SimulatedRequest& request) const {
    if (static_cast<int64_t>(request.prompt.size()) > options_.longest_prompt) {
      request.prompt.resize(static_cast<size_t>(options_.longest_prompt));
    }
  }

  void next_turn(SimulatedRequest& request) {
    const auto conversation = static_cast<size_t>(request.id % options_.conversations);
    int64_t& last = last_turn_[conversation];
    const int64_t words = options_.prompts.draw(draw_.unit());
    if (last >= 0 && turns_[conversation] < options_.turns) {
      const SimulatedRequest& before = out_[static_cast<size_t>(last)];
      request.prompt = before.prompt;
      const std::vector<int32_t> answer = full_answer(before, model_);
      request.prompt.insert(request.prompt.end(), answer.begin(), answer.end());
      request.parent = last;
      request.tenant = before.tenant;
      request.salt = before.salt;
    }
    if (request.parent < 0 || static_cast<int64_t>(request.prompt.size()) + words > options_.longest_prompt) {
      // Conversations do not begin in step with each other: the first one of each has fewer turns.
      turns_[conversation] = last < 0 ? static_cast<int64_t>(conversation) % std::max<int64_t>(options_.turns, 1) : 0;
      request.prompt.clear();
      begin_prompt(request);
    }
    append_tokens(request.prompt, words);
    limit(request);
    ++turns_[conversation];
    last = request.id;
  }

  void add_siblings() {
    const int64_t leader = static_cast<int64_t>(out_.size()) - 1, count = 1 + draw_.below(3);
    for (int64_t i = 0; i < count && static_cast<int64_t>(out_.size()) < options_.requests; ++i) {
      SimulatedRequest sibling = out_[static_cast<size_t>(leader)];
      sibling.id = static_cast<int64_t>(out_.size());
      sibling.seed = static_cast<uint64_t>(1 + i);
      sibling.leader = leader;
      sibling.parent = -1;
      sibling.pause_ns = 0;
      sibling.fault = {};
      draw_answer(sibling);
      add_fault(sibling);
      // Every conversation goes on with one of its answers: the leader's.
      out_.push_back(std::move(sibling));
    }
  }

  void add_fault(SimulatedRequest& request) {
    if (!draw_.chance(options_.faults)) return;
    if (draw_.chance(0.2)) {
      request.fault = {Fault::Kind::kNotFinite, static_cast<int32_t>(draw_.below(request.length)), Phase::kSampled};
    } else {
      request.fault = {Fault::Kind::kCancel, static_cast<int32_t>(draw_.below(24)),
                       static_cast<Phase>(draw_.below(kPhases))};
    }
  }

  int64_t exponential(double mean) { return static_cast<int64_t>(-mean * std::log(1.0 - draw_.unit())); }

  const SimulatedLoad& options_;
  const FakeModel& model_;
  Draws draw_;
  std::vector<std::vector<int32_t>> prefixes_;
  std::vector<int64_t> last_turn_, turns_;  // [conversations]
  std::vector<SimulatedRequest> out_;
};

}  // namespace

std::vector<SimulatedRequest> make_load(const SimulatedLoad& options, const FakeModel& model) {
  return LoadMaker(options, model).make();
}

std::vector<int32_t> full_answer(const SimulatedRequest& request, const FakeModel& model) {
  TokenChain chain(model);
  for (const int32_t token : request.prompt) chain.append(token);
  std::vector<int32_t> answer;
  while (static_cast<int64_t>(answer.size()) < request.length) {
    answer.push_back(model.sample(chain.logits(), request.seed));
    if (request.stops && answer.back() == FakeModel::kEndToken) break;
    chain.append(answer.back());
  }
  return answer;
}

}  // namespace tern
