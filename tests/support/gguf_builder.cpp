#include "gguf_builder.h"

namespace tern::test {

template <typename T>
void GgufBuilder::put_field(std::vector<std::byte>& to, T value, std::string name) {
  auto& fields = &to == &pairs_ ? pair_fields_ : fields_;
  fields.push_back({std::move(name), to.size(), sizeof(T)});
  put(to, value);
}

void GgufBuilder::put_string(std::vector<std::byte>& to, std::string_view text, std::string field) {
  put_field(to, uint64_t{text.size()}, std::move(field));
  const auto bytes = std::as_bytes(std::span(text));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void GgufBuilder::begin_pair(std::string_view key, GgufType type) {
  ++pair_count_;
  put_string(pairs_, key, "key length");
  put_field(pairs_, static_cast<uint32_t>(type), "value type");
}

void GgufBuilder::begin_array(std::string_view key, GgufType type, uint64_t count) {
  begin_pair(key, GgufType::kArray);
  put_field(pairs_, static_cast<uint32_t>(type), "array type");
  put_field(pairs_, count, "array length");
}

GgufBuilder& GgufBuilder::string(std::string_view key, std::string_view value) {
  begin_pair(key, GgufType::kString);
  put_string(pairs_, value, "string length");
  return *this;
}

GgufBuilder& GgufBuilder::strings(std::string_view key, const std::vector<std::string>& values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) put_string(pairs_, value, "string length");
  return *this;
}

GgufBuilder& GgufBuilder::raw(std::string_view key, uint32_t type, std::span<const std::byte> value) {
  begin_pair(key, static_cast<GgufType>(type));
  pairs_.insert(pairs_.end(), value.begin(), value.end());
  return *this;
}

GgufBuilder& GgufBuilder::any(std::string_view key, GgufType type) {
  switch (type) {
    case GgufType::kU8:
      return number(key, uint8_t{64});
    case GgufType::kI8:
      return number(key, int8_t{64});
    case GgufType::kU16:
      return number(key, uint16_t{64});
    case GgufType::kI16:
      return number(key, int16_t{64});
    case GgufType::kU32:
      return number(key, uint32_t{64});
    case GgufType::kI32:
      return number(key, int32_t{64});
    case GgufType::kF32:
      return number(key, 64.0f);
    case GgufType::kBool:
      return number(key, true);
    case GgufType::kString:
      return string(key, "64");
    case GgufType::kArray:
      return numbers(key, std::vector<int32_t>{64, 64});
    case GgufType::kU64:
      return number(key, uint64_t{64});
    case GgufType::kI64:
      return number(key, int64_t{64});
    case GgufType::kF64:
      return number(key, 64.0);
  }
  return *this;
}

GgufBuilder& GgufBuilder::alignment(uint32_t bytes) {
  alignment_ = bytes;
  return number("general.alignment", bytes);
}

GgufBuilder& GgufBuilder::tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t ggml_type,
                                 std::span<const std::byte> data) {
  data_.resize((data_.size() + alignment_ - 1) / alignment_ * alignment_);
  tensors_.push_back({std::string(name), std::move(dims), ggml_type, data_.size()});
  data_.insert(data_.end(), data.begin(), data.end());
  return *this;
}

GgufBuilder& GgufBuilder::tensor_f32(std::string_view name, std::vector<uint64_t> dims, std::span<const float> values) {
  return tensor(name, std::move(dims), 0, std::as_bytes(values));
}

GgufBuilder& GgufBuilder::tensor_at(std::string_view name, std::vector<uint64_t> dims, uint32_t ggml_type,
                                    uint64_t offset) {
  tensors_.push_back({std::string(name), std::move(dims), ggml_type, offset});
  return *this;
}

std::vector<std::byte> GgufBuilder::build() {
  std::vector<std::byte> file;
  fields_.clear();
  for (const char c : {'G', 'G', 'U', 'F'}) file.push_back(static_cast<std::byte>(c));
  put_field(file, version_, "version");
  put_field(file, uint64_t{tensors_.size()}, "tensor count");
  put_field(file, pair_count_, "metadata count");
  for (const Field& field : pair_fields_) fields_.push_back({field.name, field.offset + file.size(), field.bytes});
  file.insert(file.end(), pairs_.begin(), pairs_.end());
  for (const Tensor& tensor : tensors_) {
    put_string(file, tensor.name, "tensor name length");
    put_field(file, static_cast<uint32_t>(tensor.dims.size()), "tensor dimensions");
    for (auto dim = tensor.dims.rbegin(); dim != tensor.dims.rend(); ++dim) put_field(file, *dim, "tensor dimension");
    put_field(file, tensor.type, "tensor type");
    put_field(file, tensor.offset, "tensor offset");
  }
  header_bytes_ = file.size();
  if (!tensors_.empty()) file.resize((file.size() + alignment_ - 1) / alignment_ * alignment_);
  file.insert(file.end(), data_.begin(), data_.end());
  return file;
}

void patch(std::vector<std::byte>& file, const GgufBuilder::Field& field, uint64_t value) {
  std::memcpy(file.data() + field.offset, &value, field.bytes);
}

}  // namespace tern::test
