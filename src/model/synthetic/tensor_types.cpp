#include "model/synthetic/tensor_types.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace tern {
namespace {

enum FileType : uint32_t {  // the numbers are those of general.file_type
  kAllF32 = 0,
  kQ2K = 10,
  kQ3KSmall = 11,
  kQ3KMedium = 12,
  kQ3KLarge = 13,
  kQ4KSmall = 14,
  kQ4KMedium = 15,
  kQ5KSmall = 16,
  kQ5KMedium = 17,
  kIq4Nl = 25,
  kIq4Xs = 30,
  kMxfp4 = 38,
};

constexpr std::array kMixes{
    TypeMix{"f32", "f32", kAllF32},
    TypeMix{"f16", "f16", 1},
    TypeMix{"bf16", "bf16", 32},
    TypeMix{"q4_0", "q4_0", 2},
    TypeMix{"q4_1", "q4_1", 3},
    TypeMix{"q5_0", "q5_0", 8},
    TypeMix{"q5_1", "q5_1", 9},
    TypeMix{"q8_0", "q8_0", 7},
    TypeMix{"q2_k", "q2_k", kQ2K},
    TypeMix{"q3_k", "q3_k", kQ3KMedium},  // without a suffix as with _m, as llama.cpp's quantizer takes it
    TypeMix{"q3_k_s", "q3_k", kQ3KSmall},
    TypeMix{"q3_k_m", "q3_k", kQ3KMedium},
    TypeMix{"q3_k_l", "q3_k", kQ3KLarge},
    TypeMix{"q4_k", "q4_k", kQ4KMedium},
    TypeMix{"q4_k_s", "q4_k", kQ4KSmall},
    TypeMix{"q4_k_m", "q4_k", kQ4KMedium},
    TypeMix{"q5_k", "q5_k", kQ5KMedium},
    TypeMix{"q5_k_s", "q5_k", kQ5KSmall},
    TypeMix{"q5_k_m", "q5_k", kQ5KMedium},
    TypeMix{"q6_k", "q6_k", 18},
    TypeMix{"iq4_nl", "iq4_nl", kIq4Nl},
    TypeMix{"iq4_xs", "iq4_xs", kIq4Xs},
    TypeMix{"mxfp4", "mxfp4", kMxfp4},
};

// The layers whose attn_v and ffn_down the medium mixes give more bits: the first and last eighth, and of those between
// every third.
bool more_bits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

// The head, and an embedding that is also the head.
Format head_format(const TypeMix& mix, Format base, int64_t cols) {
  if (mix.file_type == kMxfp4 || base == Format::kQ8_0 || cols % format_info(base).block_elements != 0) {
    return Format::kQ8_0;
  }
  return Format::kQ6_K;
}

Format value_format(const TypeMix& mix, Format base, const ModelConfig& config, int64_t layer) {
  const bool shared = config.heads / config.kv_heads >= 4;  // few values, read by many heads
  Format format = base;
  switch (mix.file_type) {
    case kQ2K:
      format = shared ? Format::kQ4_K : Format::kQ3_K;
      break;
    case kQ3KMedium:
      format = layer < 2 ? Format::kQ5_K : Format::kQ4_K;
      break;
    case kQ3KLarge:
      format = Format::kQ5_K;
      break;
    case kQ4KSmall:
      if (layer < 4) format = Format::kQ5_K;
      break;
    case kQ4KMedium:
    case kQ5KMedium:
      if (more_bits(layer, config.layers)) format = Format::kQ6_K;
      break;
    case kIq4Nl:
    case kIq4Xs:
      if (shared) format = Format::kQ5_K;
      break;
    default:
      break;
  }
  // The 70B shapes, which are known by their 80 layers: eight heads share one small attn_v.
  const bool large = config.layers == 80 && config.heads != config.kv_heads;
  return large && (format == Format::kQ3_K || format == Format::kQ4_K) ? Format::kQ5_K : format;
}

Format down_format(const TypeMix& mix, Format base, const ModelConfig& config, int64_t layer) {
  switch (mix.file_type) {
    case kQ2K:
      return Format::kQ3_K;
    case kQ3KMedium:
      return layer < config.layers / 16 ? Format::kQ5_K : Format::kQ4_K;
    case kQ3KLarge:
      return Format::kQ5_K;
    case kQ4KMedium:
    case kQ5KMedium:
      return more_bits(layer, config.layers) ? Format::kQ6_K : base;
    case kQ4KSmall:
    case kIq4Nl:
    case kIq4Xs:
      return layer < config.layers / 8 ? Format::kQ5_K : base;
    default:
      return base;
  }
}

Format attention_out_format(const TypeMix& mix, Format base) {
  switch (mix.file_type) {
    case kQ2K:
      return Format::kQ3_K;
    case kQ3KMedium:
      return Format::kQ4_K;
    case kQ3KLarge:
      return Format::kQ5_K;
    default:
      return base;
  }
}

// A format of smaller blocks for rows that are not whole blocks; f16 where those do not fit either.
Format fitting(Format format, int64_t cols) {
  if (cols % format_info(format).block_elements == 0) return format;
  std::string_view smaller = name_of(format);
  if (format == Format::kQ2_K || format == Format::kQ3_K) smaller = "q4_0";
  if (format == Format::kQ4_K) smaller = "q5_0";
  if (format == Format::kQ5_K) smaller = "q5_1";
  if (format == Format::kQ6_K) smaller = "q8_0";
  if (smaller == "iq4_xs") smaller = "iq4_nl";
  const FormatInfo* info = find_format(smaller);
  return info == nullptr || cols % info->block_elements != 0 ? Format::kF16 : info->format;
}

}  // namespace

const TypeMix* find_type_mix(std::string_view name) {
  const auto* mix = std::ranges::find(kMixes, name, &TypeMix::name);
  return mix == kMixes.end() || find_format(mix->format) == nullptr ? nullptr : mix;
}

std::string type_mix_names() {
  std::string all;
  for (const TypeMix& mix : kMixes) {
    if (find_format(mix.format) != nullptr) all += (all.empty() ? "" : ", ") + std::string(mix.name);
  }
  return all;
}

Format tensor_format(const TypeMix& mix, const ModelConfig& config, Role role, int32_t layer, int64_t cols) {
  const FormatInfo* info = find_format(mix.format);
  TERN_CHECK(info != nullptr, std::string(mix.name));
  const Format base = info->format;
  if (role == Role::kRouter) return Format::kF32;  // small, and a rounding sends a token elsewhere
  if (base == Format::kF32 || base == Format::kF16 || base == Format::kBF16) return base;
  const bool head = role == Role::kOutput || (role == Role::kTokenEmbedding && config.tied_embeddings);
  // An untied embedding in MXFP4 would be a type of its own: as the head.
  if (head || (role == Role::kTokenEmbedding && mix.file_type == kMxfp4)) {
    return fitting(head_format(mix, base, cols), cols);
  }
  Format format = base;
  if (role == Role::kAttentionV) format = value_format(mix, base, config, layer);
  if (role == Role::kFfnDown || role == Role::kExpertDown) format = down_format(mix, base, config, layer);
  if (role == Role::kAttentionOut) format = attention_out_format(mix, base);
  return fitting(format, cols);
}

}  // namespace tern
