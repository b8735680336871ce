#include "plan/autodeploy/foreign_blocks.h"

namespace tern {
namespace {

struct Foreign {
  std::string_view part, what;
};
constexpr Foreign kForeign[] = {
    {"kv_a_", "latent attention: how its parts are scaled and rotate is not inferred"},
    {"attn_kv_b", "latent attention: how its parts are scaled and rotate is not inferred"},
    {"kv_b_proj", "latent attention: how its parts are scaled and rotate is not inferred"},
    {".conv", "a short convolution: what it gates and keeps is not inferred"},
    {"shortconv.", "a short convolution: what it gates and keeps is not inferred"},
    {"A_log", "a recurrent state: how it is carried is not inferred"},
    {"ssm_", "a recurrent state: how it is carried is not inferred"},
    {"sinks", "attention sinks: what else comes with them is not inferred"},
    {"shared_expert", "shared experts: how they are weighed is not inferred"},
    {"shexp", "shared experts: how they are weighed is not inferred"},
    {"exp_probs_b", "a bias of the choice of experts: how they are weighed is not inferred"},
    {"e_score_correction_bias", "a bias of the choice of experts: how they are weighed is not inferred"},
};

}  // namespace

std::string_view why_refused(std::string_view tensor_name) {
  for (const Foreign& row : kForeign)
    if (tensor_name.find(row.part) != std::string_view::npos) return row.what;
  return kUnexplained;
}

}  // namespace tern
