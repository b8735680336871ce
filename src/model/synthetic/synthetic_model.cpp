#include "model/synthetic/synthetic_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/host_memory.h"
#include "core/rng.h"
#include "formats/gguf.h"
#include "model/synthetic/differing_facts.h"
#include "model/synthetic/gguf_facts.h"
#include "model/synthetic/vocabulary.h"
#include "model/weights.h"
#include "quant/random_blocks.h"

namespace tern {
namespace {

// Of the logits: between the flat answer of an untrained head and the certainty of a trained one.
constexpr double kLogitDeviation = 3.0;
constexpr double kNormDeviation = 0.05;
constexpr double kBiasDeviation = 0.1;
// What is drawn from one seed: so many bytes, rounded down to blocks. Threads share out whole chunks.
constexpr uint64_t kChunkBytes = 64 * 1024;
// Bytes made at a time on the way to a file.
constexpr uint64_t kPieceChunks = 256;

uint64_t chunk_bytes(Format format) {
  const uint64_t block = format_info(format).block_bytes;
  return kChunkBytes / block * block;
}

uint64_t seed_of(uint64_t seed, std::string_view name) {
  uint64_t out = mix64(seed);
  for (const char c : name) out = mix64(out ^ static_cast<unsigned char>(c));
  return out;
}

const TypeMix* mix_of(const std::string& type) {
  const TypeMix* mix = find_type_mix(type);
  if (mix == nullptr) {
    bad_input(fmt::format("[synth] type '{}' is unknown; known: {}", printable(type), type_mix_names()));
  }
  return mix;
}

bool adds_to_residual(Role role) {
  return role == Role::kAttentionOut || role == Role::kFfnDown || role == Role::kExpertDown;
}

// Rows of tensors that several uses share, by role; elements of their biases are as many.
std::map<Role, int64_t> shared_rows(const Program& program) {
  std::map<Role, int64_t> rows;
  for (const Op& op : program.ops) {
    for (const WeightUse& use : op.weights) {
      if (use.first_row >= 0) rows[use.role] = std::max(rows[use.role], use.first_row + use.rows);
    }
  }
  return rows;
}

}  // namespace

std::string SyntheticModel::name_of_tensor(const WeightUse& use) const {
  return gguf_name(use.role, use.layer, *facts_.arch);
}

SyntheticModel::SyntheticModel(const SyntheticSpec& spec)
    : spec_(spec), mix_(mix_of(spec.type)), facts_(synthetic_facts(spec.config)), layout_(to_string(spec)) {
  if (facts_.arch->gguf_names.empty()) {
    bad_input(
        fmt::format("[synth] {}: GGUF has no name of its own for {}", printable(spec.config, 200), facts_.arch->name));
  }
  const std::string_view arch = facts_.arch->gguf_names[0];
  layout_.string("general.architecture", arch);
  layout_.string("general.name", to_string(spec_));
  layout_.integer("general.file_type", mix_->file_type);
  layout_.integer("general.quantization_version", 2);
  write_facts(layout_, arch, facts_.config);
  write_vocabulary();
  const Program program = facts_.arch->program(facts_.config);
  shared_rows_ = shared_rows(program);
  for (const Op& op : program.ops) add_op(op);
  add_rope_factors();
  check_facts();
}

void SyntheticModel::check_facts() const {
  const std::string whose =
      fmt::format("[synth] {}: as a GGUF file of {} it cannot be written yet: ", printable(spec_.config, 200),
                  facts_.arch->gguf_names[0]);
  std::vector<std::string> lines;
  try {
    const auto file = open(false, 1);
    const ModelConfig read = model_config(*file);
    lines = differing_facts(facts_.config, read);
    if (lines.empty()) WeightMap(*file).check(facts_.arch->program(read));
  } catch (const Error& error) {
    bad_input(whose + error.what());
  }
  if (lines.empty()) return;
  std::string all;
  for (const std::string& line : lines) all += (all.empty() ? "" : "; ") + line;
  bad_input(whose + all);
}

void SyntheticModel::write_vocabulary() {
  const SyntheticVocabulary vocabulary = synthetic_vocabulary(facts_.config.vocabulary);
  layout_.string("tokenizer.ggml.model", "gpt2");
  layout_.string("tokenizer.ggml.pre", "gpt-2");
  layout_.strings("tokenizer.ggml.tokens", vocabulary.tokens);
  layout_.integers("tokenizer.ggml.token_type", vocabulary.types);
  layout_.strings("tokenizer.ggml.merges", vocabulary.merges);
  layout_.integer("tokenizer.ggml.bos_token_id", static_cast<uint64_t>(vocabulary.bos));
  layout_.integer("tokenizer.ggml.eos_token_id", static_cast<uint64_t>(vocabulary.eos));
  layout_.boolean("tokenizer.ggml.add_bos_token", false);
  if (vocabulary.has_turns) layout_.string("tokenizer.chat_template", synthetic_chat_template());
}

void SyntheticModel::add(const std::string& name, std::vector<int64_t> shape, Format format, double deviation,
                         float mean) {
  tensors_.push_back({format, seed_of(spec_.seed, name), layout_.tensor(name, format, shape), deviation, mean, {}});
}

void SyntheticModel::add_matrix(const WeightUse& use, double deviation) {
  const Format format = tensor_format(*mix_, facts_.config, use.role, use.layer, use.cols);
  std::vector<int64_t> shape{use.rows, use.cols};
  if (use.experts > 0) shape.insert(shape.begin(), use.experts);
  add(name_of_tensor(use), std::move(shape), format, deviation);
}

void SyntheticModel::add_op(const Op& op) {
  for (WeightUse use : op.weights) {
    if (use.role == Role::kNone || use.first_row > 0) continue;  // a tensor that uses share is added with the first
    if (use.first_row == 0) use.rows = shared_rows_.at(use.role);
    const double per_input = 1.0 / std::sqrt(static_cast<double>(use.cols));
    const bool tied = facts_.config.tied_embeddings;
    if (op.kind == OpKind::kEmbed) {
      add_matrix(use, tied ? kLogitDeviation * per_input : 1.0);
    } else if (op.kind != OpKind::kLinear && op.kind != OpKind::kExperts) {
      add(name_of_tensor(use), {use.cols}, Format::kF32, kNormDeviation, 1.0f);
    } else if (use.role == Role::kOutput) {
      add_matrix(use, kLogitDeviation * per_input);
    } else if (use.role != Role::kTokenEmbedding) {  // a tied head is the embedding, which is there already
      // 2 * layers terms of the residual stream together get the deviation of one product.
      const double share =
          adds_to_residual(use.role) ? 1.0 / std::sqrt(2.0 * static_cast<double>(facts_.config.layers)) : 1.0;
      add_matrix(use, share * per_input);
    }
  }
  for (const WeightUse& use : op.biases) {
    if (use.role == Role::kNone || use.first_row > 0) continue;
    std::vector<int64_t> shape{use.first_row == 0 ? shared_rows_.at(use.role) : use.cols};
    if (use.experts > 0) shape.insert(shape.begin(), use.experts);
    add(bias_name(name_of_tensor(use)), std::move(shape), Format::kF32, kBiasDeviation);
  }
}

void SyntheticModel::add_rope_factors() {
  const auto add_values = [&](const std::string& name, std::vector<float> values) {
    if (values.empty()) return;
    add(name, {static_cast<int64_t>(values.size())}, Format::kF32, 0);
    tensors_.back().values = std::move(values);
  };
  const RopeConfig& rope = facts_.config.rope;
  if (rope.scaling == RopeScaling::kLong) {
    add_values("rope_factors_long.weight", rope.long_factors);
    return add_values("rope_factors_short.weight", rope.short_factors);
  }
  const bool by_formula = rope.scaling == RopeScaling::kLlama3;
  add_values(tensor_name(Role::kRopeFactors, -1, CheckpointKind::kGguf),
             by_formula ? rope_divisors(rope) : facts_.rope_factors);
}

// Makes the tensor's bytes from `begin`, the start of a chunk, on. Each worker makes whole chunks.
void SyntheticModel::fill(const Tensor& tensor, uint64_t begin, std::span<std::byte> out, const Team& team) const {
  if (!tensor.values.empty()) {
    if (team.index() == 0) std::memcpy(out.data(), tensor.values.data(), out.size());
    return;
  }
  const uint64_t chunk = chunk_bytes(tensor.format), block = format_info(tensor.format).block_bytes;
  const Team::Range share = team.share(static_cast<int64_t>((out.size() + chunk - 1) / chunk));
  for (int64_t i = share.begin; i < share.end; ++i) {
    const uint64_t at = static_cast<uint64_t>(i) * chunk, bytes = std::min(chunk, out.size() - at);
    const uint64_t seed = random_bits(tensor.seed, begin / chunk + static_cast<uint64_t>(i));
    random_blocks(tensor.format, tensor.deviation, seed, static_cast<int64_t>(bytes / block), out.data() + at);
    if (tensor.mean == 0) continue;
    auto* values = reinterpret_cast<float*>(out.data() + at);
    for (uint64_t v = 0; v < bytes / sizeof(float); ++v) values[v] += tensor.mean;
  }
}

std::shared_ptr<const Checkpoint> SyntheticModel::open(bool with_weights, int threads) const {
  // Memory that is not there is noticed when it is written, by the system ending the process: refused before.
  if (const uint64_t available = available_memory_bytes(); with_weights && file_bytes() > available) {
    fail(ErrorCode::kResource,
         fmt::format("[memory] {}: needs {} bytes, and {} are there", to_string(spec_), file_bytes(), available));
  }
  auto memory = std::make_shared<MappedFile>(to_string(spec_), layout_.file_bytes());
  const std::span<std::byte> bytes = memory->writable();
  const std::vector<std::byte> header = layout_.header();
  std::memcpy(bytes.data(), header.data(), header.size());
  if (with_weights) {
    const std::vector<GgufLayout::Extent> extents = layout_.extents();
    ThreadPool pool(threads, {.pin = false});
    pool.run([&](const Team& team) {
      for (size_t i = 0; i < tensors_.size(); ++i) {
        fill(tensors_[i], 0, bytes.subspan(extents[i].begin, extents[i].bytes), team);
      }
    });
  }
  memory->seal();
  auto checkpoint = std::make_shared<Checkpoint>(read_gguf(memory->bytes(), memory->path()));
  checkpoint->files.push_back(std::move(memory));
  return checkpoint;
}

void SyntheticModel::write(const std::string& path, int threads) const {
  GgufFile file(path, layout_);
  ThreadPool pool(threads, {.pin = false});
  std::vector<std::byte> piece;
  for (const Tensor& tensor : tensors_) {
    const uint64_t step = kPieceChunks * chunk_bytes(tensor.format);
    for (uint64_t begin = 0; begin < tensor.bytes; begin += step) {
      piece.resize(std::min(step, tensor.bytes - begin));
      pool.run([&](const Team& team) { fill(tensor, begin, piece, team); });
      file.append(piece);
    }
  }
  file.finish();
}

}  // namespace tern
