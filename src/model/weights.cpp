#include "model/weights.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "model/archs/arch.h"
#include "model/rearrange.h"

namespace tern {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t dim : shape) text += (text.empty() ? "" : " x ") + std::to_string(dim);
  return text;
}

bool fits(const TensorInfo& tensor, const WeightUse& use) {
  return tensor.rows() == use.rows && tensor.cols() == use.cols;  // a vector is one row
}

std::string name_of_use(const WeightUse& use, const Checkpoint& checkpoint) {
  std::string name = tensor_name(use.role, use.layer, checkpoint);
  return use.bias ? bias_name(std::move(name)) : name;
}

// Rows of a tensor that several uses share lie in what is made of all of it.
StackedMatrices stacked(const TensorInfo& tensor, const WeightUse& use) {
  if (use.first_row >= 0) return {1, tensor.cols(), tensor.rows()};
  return {std::max<int64_t>(use.experts, 1), use.rows, use.cols};
}

}  // namespace

void WeightMap::check_shape(const TensorInfo& tensor, const WeightUse& use) const {
  if (!fits(tensor, use)) {
    bad_input(fmt::format("{}: tensor {} is {}, the model's facts need {} x {}", checkpoint_.metadata.source(),
                          printable(tensor.name), shape_text(tensor.shape), use.rows, use.cols));
  }
}

// The tensor as products read it.
const TensorInfo& WeightMap::found(const std::string& name, const WeightUse& use) const {
  const TensorInfo& tensor = checkpoint_.tensor(name);
  const StoredForm form = stored_form(use.role, checkpoint_);
  if (form.plain() || (use.bias && form.step == 1)) return tensor;
  const std::string key = fmt::format("{}[{}::{}]{}", name, form.first, form.step, static_cast<int>(form.share));
  auto at = rearranged_.find(key);
  if (at == rearranged_.end()) {
    const StackedMatrices wanted = stacked(tensor, use);
    at = rearranged_.emplace(key, Rearranged{{}, rearrange(tensor, form, wanted)}).first;
    at->second.tensor = {at->first, tensor.format, {wanted.matrices * wanted.rows, wanted.cols}, at->second.data};
  }
  return at->second.tensor;
}

const TensorInfo& WeightMap::tensor(const WeightUse& use) const {
  const TensorInfo& whole = found(name_of_use(use, checkpoint_), use);
  if (use.first_row >= 0) return rows_of(whole, use);
  check_shape(whole, use);
  return whole;
}

const TensorInfo& WeightMap::expert(const WeightUse& use, int64_t expert) const {
  std::string name = name_of_use(use, checkpoint_);
  const size_t at = name.find('@');
  if (at != std::string::npos) {
    name.replace(at, 1, std::to_string(expert));
    const TensorInfo& own = checkpoint_.tensor(name);
    check_shape(own, use);
    return own;
  }
  const TensorInfo& whole = found(name, use);
  WeightUse all = use, one = use;
  all.rows *= use.experts;
  check_shape(whole, all);
  one.first_row = expert * use.rows;
  return rows_of(whole, one);
}

const TensorInfo& WeightMap::rows_of(const TensorInfo& whole, const WeightUse& use) const {
  if (whole.cols() != use.cols || use.first_row + use.rows > whole.rows()) {
    bad_input(fmt::format("{}: tensor {} is {}, the model's facts need rows {} to {} of {} columns",
                          checkpoint_.metadata.source(), printable(whole.name), shape_text(whole.shape), use.first_row,
                          use.first_row + use.rows, use.cols));
  }
  TensorInfo& view = rows_[{whole.name, use.first_row, use.rows}];
  if (view.data.empty()) {
    const size_t row_bytes = whole.data.size() / static_cast<size_t>(whole.rows());
    view = {whole.name, whole.format, {use.rows, use.cols}, {}};
    view.scale_rows = use.first_row % whole.scale_rows == 0 ? whole.scale_rows : 1;
    view.scale_cols = whole.scale_cols;
    view.data =
        whole.data.subspan(static_cast<size_t>(use.first_row) * row_bytes, static_cast<size_t>(use.rows) * row_bytes);
  }
  return view;
}

std::vector<float> decode_tensor(const TensorInfo& tensor) {
  const FormatInfo& info = format_info(tensor.format);
  std::vector<float> out(static_cast<size_t>(tensor.elements()));
  info.decode(tensor.data.data(), tensor.elements() / info.block_elements, out.data());
  return out;
}

std::vector<float> rope_factors(const Checkpoint& checkpoint, const RopeConfig& rope, int64_t positions) {
  if (rope.scaling == RopeScaling::kLong)
    return positions > rope.original_context ? rope.long_factors : rope.short_factors;
  if (rope.scaling != RopeScaling::kFactors) return {};
  return decode_tensor(checkpoint.tensor(tensor_name(Role::kRopeFactors, -1, checkpoint.kind)));
}

std::vector<float> WeightMap::vector(const WeightUse& use, int64_t of) const {
  if (use.role == Role::kNone) return std::vector<float>(static_cast<size_t>(use.cols), 1.0f);
  if (use.bias && use.first_row >= 0) return bias_rows(use);
  std::vector<float> values = decode_tensor(use.experts > 0 ? expert(use, of) : tensor(use));
  if (use.plus != 0) {
    for (float& value : values) value += use.plus;
  }
  return values;
}

// Of a vector that several uses share.
std::vector<float> WeightMap::bias_rows(const WeightUse& use) const {
  WeightUse all = use;
  all.first_row = -1;
  all.cols = checkpoint_.tensor(name_of_use(use, checkpoint_)).elements();
  const std::vector<float> values = vector(all);
  if (use.first_row + use.cols > all.cols) {
    bad_input(fmt::format("{}: tensor {} has {} elements, the model's facts need {}", checkpoint_.metadata.source(),
                          printable(name_of_use(use, checkpoint_)), all.cols, use.first_row + use.cols));
  }
  const auto begin = values.begin() + use.first_row;
  return {begin, begin + use.cols};
}

// Without copying what lies in another order.
void WeightMap::check_use(const WeightUse& use) const {
  if (use.role == Role::kNone) return;
  const StoredForm form = stored_form(use.role, checkpoint_);
  if (!form.plain() && !use.bias) {
    const TensorInfo& tensor = checkpoint_.tensor(name_of_use(use, checkpoint_));
    return check_rearranged(tensor, form, stacked(tensor, use));
  }
  if (use.bias && use.experts == 0) return void(vector(use));
  if (use.experts == 0) tensor(use);
  for (int64_t e = 0; e < use.experts; ++e) expert(use, e);
}

void WeightMap::check(const Program& program) const {
  const auto check_op = [&](const Op& op) {
    for (const WeightUse& use : op.weights) check_use(use);
    for (const WeightUse& use : op.biases) check_use(use);
  };
  for (const Op& op : program.ops) for_each_part(op, check_op);
}

uint64_t weight_bytes_per_token(const Program& program, const WeightMap& weights) {
  uint64_t bytes = 0;
  const auto count = [&](const Op& op) {
    for (const WeightUse& use : op.weights) {
      if (use.role == Role::kNone) continue;
      if (use.experts > 0) {
        const int64_t times = op.kind == OpKind::kExperts ? op.route.used : use.experts;
        bytes += weights.expert(use, 0).data.size() * static_cast<uint64_t>(times);
        continue;
      }
      const TensorInfo& tensor = weights.tensor(use);
      bytes += op.kind == OpKind::kEmbed ? tensor.data.size() / static_cast<uint64_t>(use.rows) : tensor.data.size();
    }
  };
  for (const Op& op : program.ops) for_each_part(op, count);
  return bytes;
}

}  // namespace tern
