// The scheduler's door: who of those that wait begins to run.
#include <algorithm>

#include "engine/scheduler/scheduler.h"

namespace tern {
namespace {

// Candidates looked at in one step beyond those that are admitted: bounds the work, whatever waits.
constexpr size_t kMostSkipped = 64;

}  // namespace

void Scheduler::admit() {
  if (queue_.size() == 0) return;
  const bool is_static = options_.policy == SchedulingPolicy::kStatic;
  if (is_static && live_ > 0) return;
  skipped_.clear();
  survey();
  WaitQueue::Scan scan(queue_);
  while (Sequence* candidate = scan.next()) {
    // Two sequences may run for each place in a step where somebody would be wronged otherwise; rank_for_rows() then
    // decides whose turn it is.
    if (live_ >= options_.max_sequences &&
        (is_static || live_ >= 2 * options_.max_sequences || !outranks_someone(*candidate))) {
      return;
    }
    const bool patient = candidate->overtaken < options_.max_overtakes;
    if (!(patient && waits_for_prefix(*candidate)) && try_admit(candidate)) {
      for (Sequence* passed : skipped_) ++passed->overtaken;
      if (std::any_of(skipped_.begin(), skipped_.end(),
                      [&](const Sequence* s) { return s->overtaken >= options_.max_overtakes; })) {
        return;
      }
      continue;
    }
    if (!patient || skipped_.size() >= kMostSkipped || is_static) return;
    skipped_.push_back(candidate);
  }
}

// Does somebody run who has less right to a place: of lower priority, or of a tenant that is ahead by more than a step?
bool Scheduler::outranks_someone(const Sequence& candidate) const {
  const SchedulingParams& mine = candidate.request.scheduling;
  const int64_t served = queue_.served(mine.tenant);
  return std::any_of(running_.begin(), running_.end(), [&](const Sequence* s) {
    if (s->state != SequenceState::kRunning) return false;
    const SchedulingParams& theirs = s->request.scheduling;
    if (theirs.priority != mine.priority) return theirs.priority > mine.priority;
    return theirs.tenant != mine.tenant && queue_.served(theirs.tenant) - served > options_.max_batched_tokens;
  });
}

// What the candidates of one step are held against, so that each costs little however many run.
void Scheduler::survey() {
  computing_.clear();
  promised_ = 0;
  for (Sequence* s : running_) {
    if (s->state == SequenceState::kRunning) count_in(s);
  }
}

void Scheduler::count_in(Sequence* s) {
  if (s->computed < s->known() - 1) computing_.push_back(s);
  // Blocks for tokens that it has already.
  if (s->prefilling()) promised_ += kv_.lacking(s->kv, s->known());
}

// Is a running sequence computing what this one begins with? Chained keys are equal up to where the prompts part, so a
// binary search finds the place. What is computed already is in the cache, and not waited for.
bool Scheduler::waits_for_prefix(const Sequence& candidate) const {
  if (options_.prefix_wait_tokens <= 0 || !candidate.kv.publishes) return false;
  const std::vector<BlockKey>& mine = candidate.kv.keys;
  const int64_t usable = (candidate.known() - 1) / kv_.block_tokens();
  for (const Sequence* s : computing_) {
    const std::vector<BlockKey>& theirs = s->kv.keys;
    int64_t equal = 0;
    int64_t beyond = std::min({static_cast<int64_t>(mine.size()), static_cast<int64_t>(theirs.size()), usable}) + 1;
    while (beyond - equal > 1) {
      const int64_t middle = equal + (beyond - equal) / 2;
      const auto at = static_cast<size_t>(middle) - 1;
      (mine[at] == theirs[at] ? equal : beyond) = middle;
    }
    if (equal * kv_.block_tokens() - s->computed >= options_.prefix_wait_tokens) return true;
  }
  return false;
}

bool Scheduler::try_admit(Sequence* s) {
  const int64_t known = s->known();
  const bool whole = options_.policy == SchedulingPolicy::kStatic || s->report.preemptions >= options_.max_preemptions;
  kv_.reserve(s->kv, s->most_tokens());
  const int64_t found = kv_.lookup(s->kv, s->tokens(), known - 1);
  // Beside what is promised, as many as half of the running ones may soon need a block for their next tokens.
  if (!kv_.has_room(s->kv, whole ? s->most_tokens() : known, promised_ + live_ / 2) ||
      (whole && !kv_.grow(s->kv, s->most_tokens()))) {
    kv_.release(s->kv);
    return false;
  }
  queue_.remove(s);
  s->state = SequenceState::kRunning;
  s->computed = s->scheduled = found;
  s->overtaken = 0;
  s->reserved = whole;
  running_.push_back(s);
  ++live_;
  count_in(s);
  totals_.prefix_queries += known;
  totals_.prefix_hits += found;
  if (s->report.preemptions == 0) {
    s->report.cached_tokens = found;
    queue_.charge(s->request.scheduling.tenant, known - found);
  }
  return true;
}

}  // namespace tern
