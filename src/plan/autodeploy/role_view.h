// A checkpoint again, with its tensors under the names of their roles: the same files and bytes, nothing copied.
#pragma once

#include <memory>

#include "plan/autodeploy/tensor_roles.h"

namespace tern {

// Tensors of `roles` by inferred_name(), those that hold all `experts` as one view for each; `metadata` instead of the
// file's.
std::shared_ptr<const Checkpoint> under_roles(const Checkpoint& from, Metadata metadata, const TensorRoles& roles,
                                              int64_t experts);

}  // namespace tern
