// Who waits, in what order, and how much each tenant has been given: a queue for every (tenant, priority).
//
// Candidates come by priority (lower first), then from the tenant that has been served least, then by arrival; so
// tenants with work waiting are served evenly (virtual token counters: Sheng et al., OSDI 2024, arXiv 2401.00588). A
// tenant that comes back after a pause starts level with the least served of those that have work, and cannot save up.
// The lists run through the sequences themselves. Engine thread only.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "engine/sequence.h"

namespace tern {

class WaitQueue {
 public:
  void push(Sequence* sequence);  // behind all that arrived before it
  void remove(Sequence* sequence);
  int64_t size() const { return size_; }

  // A tenant has work from its first join to its last leave.
  void join(uint32_t tenant);
  void leave(uint32_t tenant);
  void charge(uint32_t tenant, int64_t tokens) { tenants_[tenant].served += tokens; }
  int64_t served(uint32_t tenant) const;

  template <typename Visit>
  void each(Visit visit) const {
    for (const auto& [id, tenant] : tenants_) {
      for (const auto& [priority, list] : tenant.lists) {
        for (Sequence* s = list.first; s != nullptr; s = s->after) visit(s);
      }
    }
  }

  // Walks the candidates in order, each once; the one that next() gave may be removed before the next call. One walk at
  // a time.
  class Scan {
   public:
    explicit Scan(WaitQueue& queue);
    Sequence* next();  // null: no more

   private:
    WaitQueue& queue_;
  };

 private:
  struct Place {  // a tenant's next candidate
    uint32_t tenant;
    Sequence* candidate;
  };
  struct List {
    Sequence *first = nullptr, *last = nullptr;
  };
  struct Tenant {
    int64_t served = 0;
    int64_t active = 0;             // sequences waiting or running
    std::map<int32_t, List> lists;  // by priority, none empty
  };
  Sequence* following(const Sequence* sequence) const;

  std::map<uint32_t, Tenant> tenants_;
  std::vector<Place> places_;  // scratch of the scan
  int64_t size_ = 0;

  friend class Scan;
};

}  // namespace tern
