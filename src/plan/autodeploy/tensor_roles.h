// Which tensor plays which role, by the parts of its name that say what it does and where it stands, and by its shape.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "formats/checkpoint.h"
#include "model/roles.h"

namespace tern {

// A tensor's place: role, layer (-1: none), expert (-1: none, or all of them stacked).
struct Placed {
  Role role = Role::kNone;
  int32_t layer = -1, expert = -1;
  bool bias = false;  // the one beside the role's weight
  auto operator<=>(const Placed&) const = default;
};

struct TensorRoles {
  std::map<Placed, const TensorInfo*> tensors;
  std::map<Role, std::string> pattern;  // the name of one tensor of each role, # for the layer
  std::vector<std::string> doubts;      // tensors that no role explains, or that two claim
  int64_t layers = 0;                   // one more than the last
  bool transposed = false;              // matrices lie a column an output

  const TensorInfo* find(Role role, int32_t layer = -1, int32_t expert = -1) const;
  std::set<Role> biased;
  bool has(Role role) const { return pattern.contains(role); }
};

// Of the roles alone; whether shapes agree with the model's facts is WeightMap's to say.
TensorRoles find_roles(const Checkpoint& checkpoint);

}  // namespace tern
