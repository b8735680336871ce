#include "plan/autodeploy/role_view.h"

#include "model/archs/arch.h"

namespace tern {

std::shared_ptr<const Checkpoint> under_roles(const Checkpoint& from, Metadata metadata, const TensorRoles& roles,
                                              int64_t experts) {
  auto out = std::make_shared<Checkpoint>();
  out->kind = from.kind;
  out->path = from.path;
  out->metadata = std::move(metadata);
  out->files = from.files;
  out->left_out = from.left_out;
  out->strings = from.strings;
  const auto add = [&](std::string name, TensorInfo tensor) {
    out->strings.push_back(std::make_shared<const std::string>(std::move(name)));
    tensor.name = *out->strings.back();
    out->tensors.push_back(std::move(tensor));
  };
  for (const auto& [placed, tensor] : roles.tensors) {
    if (placed.role == Role::kRopeFactors) {
      out->tensors.push_back(*tensor);
      continue;
    }
    std::string name = inferred_name(placed.role, placed.layer);
    if (placed.bias) name = bias_name(std::move(name));
    const size_t at = name.find('@');
    if (at == std::string::npos) {
      add(std::move(name), *tensor);
    } else if (placed.expert >= 0) {
      add(name.replace(at, 1, std::to_string(placed.expert)), *tensor);
    } else if (tensor->shape.size() == 3 && tensor->shape[0] == experts) {
      const size_t bytes = tensor->data.size() / static_cast<size_t>(experts);
      for (int64_t e = 0; e < experts; ++e) {
        TensorInfo one{{}, tensor->format, {tensor->shape[1], tensor->shape[2]}, {}};
        if (bytes > 0) one.data = tensor->data.subspan(static_cast<size_t>(e) * bytes, bytes);
        add(std::string(name).replace(at, 1, std::to_string(e)), std::move(one));
      }
    }
  }
  for (const TensorInfo& tensor : from.tensors) {
    if (tensor.name == "rope_factors_long.weight" || tensor.name == "rope_factors_short.weight")
      out->tensors.push_back(tensor);
  }
  out->index_tensors();
  return out;
}

}  // namespace tern
