// Which keys a layer sees, and how positions come into it.
#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "core/limits.h"
#include "model/archs/keys.h"
#include "plan/autodeploy/inferrer.h"
#include "plan/autodeploy/rope_pairs.h"

namespace tern {

void Inferrer::read_windows() {
  const std::string key = gguf_ ? "inferred.attention.sliding_window" : "sliding_window";
  int64_t window = metadata().integer_or(key, 0, 0, static_cast<int64_t>(Limits::kContext));
  const bool switched_off = has("use_sliding_window") && !metadata().boolean("use_sliding_window");
  if (switched_off) window = 0;
  if (has("layer_types")) {
    c_.window = window;
    read_layer_types(*view_, c_);
    c_.window = 0;
    const bool any = std::any_of(c_.layer_attention.begin(), c_.layer_attention.end(),
                                 [](const LayerAttention& layer) { return layer.window > 0; });
    if (any) state("windows", std::to_string(window), Certainty::kStated, "layer_types, sliding_window");
    if (window == 0) {
      for (const std::string_view type : metadata().strings("layer_types"))
        if (type == "sliding_attention") return doubt("windows: layer_types has them, but their length is not said");
    }
    if (!any) c_.layer_attention.clear();
    return;
  }
  if (window == 0) return;
  const std::string* text = told("window_layers");
  if (text == nullptr)
    return doubt(fmt::format("window_layers: which layers have the window of {} is not said", window));
  if (*text == "none") return;
  if (*text == "all") {
    c_.window = window;
    return;
  }
  const int64_t period = told_count("window_layers", *text);
  for (int64_t layer = 0; layer < c_.layers; ++layer)
    c_.layer_attention.push_back({.window = layer % period != period - 1 ? window : 0, .rope = 0});
}

void Inferrer::read_positions() {
  if (roles_.has(Role::kPositions)) return read_table_of_positions();
  read_rotations();
  read_window_rope();
  read_unrotated();
  read_pairs();
}

// A row of it is added to each token's embedding. Models that have one do not rotate.
void Inferrer::read_table_of_positions() {
  const auto keys = metadata().keys();
  const bool rope = std::any_of(keys.begin(), keys.end(), [](const std::string& key) {
    return key.find("rope_theta") != std::string::npos || key.find("rope.freq_base") != std::string::npos;
  });
  if (rope) doubt("positions: there is a table of them, and a base of rotations");
  c_.learned_positions = true;
  state("positions", "a table, no rotations", Certainty::kShown, pattern(Role::kPositions));
  if (c_.layer_attention.empty())
    c_.layer_attention.assign(static_cast<size_t>(c_.layers), LayerAttention{c_.window, 0});
  for (LayerAttention& layer : c_.layer_attention) layer.rope = -1;
  c_.window = 0;
}

void Inferrer::read_rotations() {
  const bool stated = has("rope_theta") || has("rope_parameters.rope_theta") ||
                      has("rope_parameters.full_attention.rope_theta") || metadata().has("inferred.rope.freq_base");
  if (!stated) doubt("rotary positions: no base is said, so there may be none");
  constexpr std::string_view kScalings[] = {"", ", linear", ", llama3", ", yarn", ", longrope", ", by factors"};
  state("rope",
        fmt::format("base {:g}, {} of {} elements{}", c_.rope.theta, c_.rope.dims, c_.head_dim,
                    kScalings[static_cast<size_t>(c_.rope.scaling)]),
        stated ? Certainty::kStated : Certainty::kUnsure, gguf_ ? "rope.*" : "rope parameters");
}

// Layers with a window, beside layers without, may rotate otherwise or be the only ones that do.
void Inferrer::read_window_rope() {
  if (c_.layer_attention.empty()) return;
  const bool local_said = has("rope_parameters.sliding_attention.rope_theta") || has("rope_local_base_freq");
  const std::string* text = local_said ? nullptr : told("window_rope");
  if (!local_said && text == nullptr) {
    if (!has("query_pre_attn_scalar"))
      doubt("window_rope: nothing says whether layers with and without a window rotate alike");
    return;
  }
  if (text != nullptr && *text == "same") return;
  if (text != nullptr && *text == "alone") {
    for (LayerAttention& layer : c_.layer_attention) layer.rope = layer.window > 0 ? 0 : -1;
    return;
  }
  c_.local_rope = c_.rope;
  c_.local_rope.scaling = RopeScaling::kNone;
  if (local_said) {
    read_local_rope(metadata(), c_);
    state("window_rope", fmt::format("{:g}", c_.local_rope.theta), Certainty::kStated, "rope of sliding_attention");
  } else {
    c_.local_rope.theta = told_number("window_rope", *text);
  }
  for (LayerAttention& layer : c_.layer_attention) layer.rope = layer.window > 0 ? 1 : 0;
}

void Inferrer::read_unrotated() {
  const auto rests = [](const LayerAttention& layer) { return layer.rope < 0; };
  if (std::any_of(c_.layer_attention.begin(), c_.layer_attention.end(), rests)) return;  // told already
  std::vector<bool> unrotated;
  if (has("no_rope_layers")) {
    for (const int64_t rotates : metadata().integers("no_rope_layers")) unrotated.push_back(rotates == 0);
    if (static_cast<int64_t>(unrotated.size()) != c_.layers) return doubt("no_rope_layers is not one number a layer");
    state("unrotated_layers", "some", Certainty::kStated, "no_rope_layers");
  } else if (const std::string* text = told("unrotated_layers")) {
    if (*text == "none") return;
    const int64_t period = told_count("unrotated_layers", *text);
    for (int64_t layer = 0; layer < c_.layers; ++layer) unrotated.push_back(layer % period == period - 1);
  } else {
    if (gguf_) return doubt("unrotated_layers: GGUF files do not say whether all layers rotate");
    return state("unrotated_layers", "none", Certainty::kConvention, "nothing says otherwise");
  }
  if (c_.layer_attention.empty())
    c_.layer_attention.assign(static_cast<size_t>(c_.layers), LayerAttention{c_.window, 0});
  for (size_t i = 0; i < unrotated.size(); ++i)
    if (unrotated[i]) c_.layer_attention[i].rope = -1;
  c_.window = 0;
}

void Inferrer::read_pairs() {
  const RopePairsMeasure measure = measure_rope_pairs(roles_, c_.heads, c_.kv_heads, c_.head_dim, c_.rope.dims);
  const std::string numbers = fmt::format("rows of keys differ by {:.2f} as halves, {:.2f} interleaved, {:.2f} any",
                                          measure.halves, measure.interleaved, measure.any);
  const auto measured = measure.style();
  if (const std::string* text = told("rope_pairs", {"halves", "interleaved"})) {
    c_.rope.style = *text == "halves" ? RopeStyle::kHalves : RopeStyle::kInterleaved;
    if (measured && *measured != c_.rope.style) doubt("rope_pairs: told " + *text + ", but " + numbers);
  } else if (measured) {
    c_.rope.style = *measured;
    state("rope_pairs", *measured == RopeStyle::kHalves ? "halves" : "interleaved", Certainty::kMeasured, numbers);
  } else {
    doubt("rope_pairs: nothing says which elements of a head rotate together (" + numbers + ")");
  }
  c_.local_rope.style = c_.rope.style;
}

}  // namespace tern
