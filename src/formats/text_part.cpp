#include "formats/text_part.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>

namespace tern {
namespace {

constexpr std::string_view kInner = "text_config.";
constexpr std::string_view kTied = "tie_word_embeddings", kEmbedding = "embed_tokens.weight", kHead = "lm_head.";
constexpr std::string_view kDecoder = "model.";

// Of keys that are about other parts, or about where they meet text.
constexpr std::string_view kOtherKeys[] = {"vision",     "audio",     "image_", "video_", "mm_",
                                           "multimodal", "projector", "boi_",   "eoi_",   "spatial_merge"};

bool of_other_parts(std::string_view name) {
  return std::ranges::any_of(kOtherKeys, [&](std::string_view start) { return name.starts_with(start); });
}

Metadata of_text(const Metadata& whole) {
  Metadata out(whole.source());
  for (const std::string& key : whole.keys())
    if (key.starts_with(kInner)) out.set(key.substr(kInner.size()), *whole.find(key));
  for (const std::string& key : whole.keys()) {
    if (!key.starts_with(kInner) && !of_other_parts(key) && !out.has(key)) out.set(key, *whole.find(key));
  }
  return out;
}

// The decoder's prefix: what stands in front of its embedding, of which there is one.
std::optional<std::string> prefix_of(const Checkpoint& whole) {
  std::optional<std::string> found;
  for (const TensorInfo& tensor : whole.tensors) {
    const std::string_view name = tensor.name;
    if (!name.ends_with(kEmbedding) || of_other_parts(name)) continue;
    if (found) return std::nullopt;
    found = std::string(name.substr(0, name.size() - kEmbedding.size()));
  }
  return found;
}

class Renaming {
 public:
  explicit Renaming(std::string prefix) : prefix_(std::move(prefix)), outer_(prefix_) {
    if (outer_.ends_with(kDecoder)) outer_.resize(outer_.size() - kDecoder.size());
  }
  // As a folder of text calls the tensor; empty where it is of another part.
  std::string operator()(std::string_view name) const {
    if (!prefix_.empty() && name.starts_with(prefix_))
      return std::string(kDecoder) + std::string(name.substr(prefix_.size()));
    if (name.starts_with(kHead)) return std::string(name);
    const bool head = name.starts_with(outer_) && name.substr(outer_.size()).starts_with(kHead);
    return head ? std::string(name.substr(outer_.size())) : std::string();
  }

 private:
  std::string prefix_, outer_;  // outer_: of the part, its head beside its decoder
};

// Those of `tensors` that are of text, under their new names; returns how many are not.
template <typename Tensor>
size_t keep_text(const Renaming& renamed, std::vector<Tensor>& tensors, Checkpoint& owner) {
  std::vector<Tensor> kept;
  for (Tensor& tensor : tensors) {
    std::string name = renamed(tensor.name);
    if (name.empty()) continue;
    if (name != tensor.name) {
      owner.strings.push_back(std::make_shared<const std::string>(std::move(name)));
      tensor.name = *owner.strings.back();
    }
    kept.push_back(std::move(tensor));
  }
  const size_t left = tensors.size() - kept.size();
  tensors = std::move(kept);
  return left;
}

// Said inside and outside, and not alike: then whether there is a head decides.
void settle_tied(const Metadata& outside, Checkpoint& text) {
  const std::string inner = std::string(kInner) + std::string(kTied);
  if (!outside.has(kTied) || !outside.has(inner) || outside.boolean(kTied) == outside.boolean(inner)) return;
  text.metadata.set(std::string(kTied), {!text.holds("lm_head.weight")});
}

}  // namespace

Checkpoint text_part(Checkpoint whole) {
  const auto inside = [](const std::string& key) { return key.starts_with(kInner); };
  if (std::ranges::none_of(whole.metadata.keys(), inside)) return whole;
  const Metadata outside = std::move(whole.metadata);
  whole.metadata = of_text(outside);
  const std::optional<std::string> prefix = prefix_of(whole);
  if (!prefix) return whole;  // whoever looks for its tensors says which are missing
  const Renaming renamed(*prefix);
  const size_t left = keep_text(renamed, whole.tensors, whole) + keep_text(renamed, whole.stored, whole);
  whole.index_tensors();
  settle_tied(outside, whole);
  if (left > 0) whole.left_out = fmt::format("the text part alone: {} tensors of other parts are not read", left);
  return whole;
}

}  // namespace tern
