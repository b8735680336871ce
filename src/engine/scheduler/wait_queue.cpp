#include "engine/scheduler/wait_queue.h"

#include <algorithm>
#include <tuple>

namespace tern {

void WaitQueue::push(Sequence* sequence) {
  List& list = tenants_[sequence->request.scheduling.tenant].lists[sequence->request.scheduling.priority];
  // From the end: new ones belong there. One that was preempted belongs near the front, so it looks from there.
  Sequence* after = nullptr;
  if (list.last != nullptr && list.last->arrival > sequence->arrival) {
    after = list.first;
    while (after->arrival < sequence->arrival) after = after->after;
  }
  sequence->after = after;
  sequence->before = after != nullptr ? after->before : list.last;
  (sequence->before != nullptr ? sequence->before->after : list.first) = sequence;
  (after != nullptr ? after->before : list.last) = sequence;
  ++size_;
}

void WaitQueue::remove(Sequence* sequence) {
  Tenant& tenant = tenants_[sequence->request.scheduling.tenant];
  const auto at = tenant.lists.find(sequence->request.scheduling.priority);
  List& list = at->second;
  (sequence->before != nullptr ? sequence->before->after : list.first) = sequence->after;
  (sequence->after != nullptr ? sequence->after->before : list.last) = sequence->before;
  sequence->before = sequence->after = nullptr;
  if (list.first == nullptr) tenant.lists.erase(at);
  --size_;
}

void WaitQueue::join(uint32_t id) {
  Tenant& tenant = tenants_[id];
  if (tenant.active++ > 0) return;
  int64_t least = INT64_MAX;
  for (const auto& [other_id, other] : tenants_) {
    if (other_id != id && other.active > 0) least = std::min(least, other.served);
  }
  if (least != INT64_MAX) tenant.served = std::max(tenant.served, least);
}

void WaitQueue::leave(uint32_t tenant) { --tenants_[tenant].active; }

int64_t WaitQueue::served(uint32_t tenant) const {
  const auto at = tenants_.find(tenant);
  return at == tenants_.end() ? 0 : at->second.served;
}

// The next one of the same tenant, in its next priority when the list ends.
Sequence* WaitQueue::following(const Sequence* sequence) const {
  if (sequence->after != nullptr) return sequence->after;
  const auto& lists = tenants_.at(sequence->request.scheduling.tenant).lists;
  const auto next = lists.upper_bound(sequence->request.scheduling.priority);
  return next == lists.end() ? nullptr : next->second.first;
}

WaitQueue::Scan::Scan(WaitQueue& queue) : queue_(queue) {
  queue.places_.clear();
  for (const auto& [id, tenant] : queue.tenants_) {
    if (!tenant.lists.empty()) queue.places_.push_back({id, tenant.lists.begin()->second.first});
  }
}

Sequence* WaitQueue::Scan::next() {
  Place* best = nullptr;
  const auto rank = [&](const Place& place) {
    return std::tuple(place.candidate->request.scheduling.priority, queue_.served(place.tenant),
                      place.candidate->arrival);
  };
  for (Place& place : queue_.places_) {
    if (place.candidate != nullptr && (best == nullptr || rank(place) < rank(*best))) best = &place;
  }
  if (best == nullptr) return nullptr;
  Sequence* candidate = best->candidate;
  best->candidate = queue_.following(candidate);
  return candidate;
}

}  // namespace tern
