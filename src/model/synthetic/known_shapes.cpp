#include "model/synthetic/known_shapes.h"

#include <algorithm>
#include <array>

namespace tern {
namespace {

struct ShapeRow {
  std::string_view name, config;
};

constexpr std::array kShapes{
    ShapeRow{"smollm2-135m",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":576,"intermediate_size":1536)"
             R"(,"num_hidden_layers":30,"num_attention_heads":9,"num_key_value_heads":3,"vocab_size":49152)"
             R"(,"max_position_embeddings":8192,"rope_theta":100000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":true})"},
    ShapeRow{"smollm2-360m",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":960,"intermediate_size":2560)"
             R"(,"num_hidden_layers":32,"num_attention_heads":15,"num_key_value_heads":5,"vocab_size":49152)"
             R"(,"max_position_embeddings":8192,"rope_theta":100000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":true})"},
    ShapeRow{"smollm2-1.7b",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":8192)"
             R"(,"num_hidden_layers":24,"num_attention_heads":32,"num_key_value_heads":32,"vocab_size":49152)"
             R"(,"max_position_embeddings":8192,"rope_theta":130000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":true})"},
    ShapeRow{"qwen2.5-0.5b",
             R"({"architectures":["Qwen2ForCausalLM"],"hidden_size":896,"intermediate_size":4864)"
             R"(,"num_hidden_layers":24,"num_attention_heads":14,"num_key_value_heads":2,"vocab_size":151936)"
             R"(,"max_position_embeddings":32768,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":true})"},
    ShapeRow{"qwen2.5-1.5b",
             R"({"architectures":["Qwen2ForCausalLM"],"hidden_size":1536,"intermediate_size":8960)"
             R"(,"num_hidden_layers":28,"num_attention_heads":12,"num_key_value_heads":2,"vocab_size":151936)"
             R"(,"max_position_embeddings":32768,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":true})"},
    ShapeRow{"qwen2.5-3b",
             R"({"architectures":["Qwen2ForCausalLM"],"hidden_size":2048,"intermediate_size":11008)"
             R"(,"num_hidden_layers":36,"num_attention_heads":16,"num_key_value_heads":2,"vocab_size":151936)"
             R"(,"max_position_embeddings":32768,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":true})"},
    ShapeRow{"qwen2.5-7b",
             R"({"architectures":["Qwen2ForCausalLM"],"hidden_size":3584,"intermediate_size":18944)"
             R"(,"num_hidden_layers":28,"num_attention_heads":28,"num_key_value_heads":4,"vocab_size":152064)"
             R"(,"max_position_embeddings":32768,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":false})"},
    ShapeRow{"qwen2.5-14b",
             R"({"architectures":["Qwen2ForCausalLM"],"hidden_size":5120,"intermediate_size":13824)"
             R"(,"num_hidden_layers":48,"num_attention_heads":40,"num_key_value_heads":8,"vocab_size":152064)"
             R"(,"max_position_embeddings":32768,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":false})"},
    ShapeRow{"qwen2.5-32b",
             R"({"architectures":["Qwen2ForCausalLM"],"hidden_size":5120,"intermediate_size":27648)"
             R"(,"num_hidden_layers":64,"num_attention_heads":40,"num_key_value_heads":8,"vocab_size":152064)"
             R"(,"max_position_embeddings":32768,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":false})"},
    ShapeRow{"qwen2.5-72b",
             R"({"architectures":["Qwen2ForCausalLM"],"hidden_size":8192,"intermediate_size":29568)"
             R"(,"num_hidden_layers":80,"num_attention_heads":64,"num_key_value_heads":8,"vocab_size":152064)"
             R"(,"max_position_embeddings":32768,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":false})"},
    ShapeRow{"tinyllama-1.1b",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":5632)"
             R"(,"num_hidden_layers":22,"num_attention_heads":32,"num_key_value_heads":4,"vocab_size":32000)"
             R"(,"max_position_embeddings":2048,"rope_theta":10000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":false})"},
    ShapeRow{"llama-2-7b",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":4096,"intermediate_size":11008)"
             R"(,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":32,"vocab_size":32000)"
             R"(,"max_position_embeddings":4096,"rope_theta":10000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":false})"},
    ShapeRow{"llama-3.2-1b",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":2048,"intermediate_size":8192)"
             R"(,"num_hidden_layers":16,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256)"
             R"(,"max_position_embeddings":131072,"rope_theta":500000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":true,"head_dim":64,"rope_scaling":{"rope_type":"llama3","factor":32.0)"
             R"(,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192}})"},
    ShapeRow{"llama-3.2-3b",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":3072,"intermediate_size":8192)"
             R"(,"num_hidden_layers":28,"num_attention_heads":24,"num_key_value_heads":8,"vocab_size":128256)"
             R"(,"max_position_embeddings":131072,"rope_theta":500000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":true,"head_dim":128,"rope_scaling":{"rope_type":"llama3")"
             R"(,"factor":32.0,"low_freq_factor":1.0,"high_freq_factor":4.0)"
             R"(,"original_max_position_embeddings":8192}})"},
    ShapeRow{"llama-3.1-8b",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":4096,"intermediate_size":14336)"
             R"(,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256)"
             R"(,"max_position_embeddings":131072,"rope_theta":500000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":false,"rope_scaling":{"rope_type":"llama3","factor":8.0)"
             R"(,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192}})"},
    ShapeRow{"llama-3.1-70b",
             R"({"architectures":["LlamaForCausalLM"],"hidden_size":8192,"intermediate_size":28672)"
             R"(,"num_hidden_layers":80,"num_attention_heads":64,"num_key_value_heads":8,"vocab_size":128256)"
             R"(,"max_position_embeddings":131072,"rope_theta":500000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":false,"rope_scaling":{"rope_type":"llama3","factor":8.0)"
             R"(,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192}})"},
    ShapeRow{"mistral-7b",
             R"({"architectures":["MistralForCausalLM"],"hidden_size":4096,"intermediate_size":14336)"
             R"(,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":32768)"
             R"(,"max_position_embeddings":32768,"rope_theta":1000000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":false})"},
    ShapeRow{"qwen3-8b",
             R"({"architectures":["Qwen3ForCausalLM"],"hidden_size":4096,"intermediate_size":12288)"
             R"(,"num_hidden_layers":36,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":151936)"
             R"(,"max_position_embeddings":40960,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":false,"head_dim":128})"},
    ShapeRow{"qwen3-30b-a3b",
             R"({"architectures":["Qwen3MoeForCausalLM"],"hidden_size":2048,"intermediate_size":6144)"
             R"(,"num_hidden_layers":48,"num_attention_heads":32,"num_key_value_heads":4,"vocab_size":151936)"
             R"(,"max_position_embeddings":40960,"rope_theta":1000000,"rms_norm_eps":1e-06)"
             R"(,"tie_word_embeddings":false,"head_dim":128,"num_experts":128,"num_experts_per_tok":8)"
             R"(,"moe_intermediate_size":768,"norm_topk_prob":true})"},
    ShapeRow{"olmoe-1b-7b",
             R"({"architectures":["OlmoeForCausalLM"],"hidden_size":2048,"intermediate_size":1024)"
             R"(,"num_hidden_layers":16,"num_attention_heads":16,"num_key_value_heads":16,"vocab_size":50304)"
             R"(,"max_position_embeddings":4096,"rope_theta":10000,"rms_norm_eps":1e-05)"
             R"(,"tie_word_embeddings":false,"num_experts":64,"num_experts_per_tok":8,"norm_topk_prob":false})"},
};

}  // namespace

std::string_view known_shape(std::string_view name) {
  const auto* row = std::ranges::find(kShapes, name, &ShapeRow::name);
  return row == kShapes.end() ? std::string_view{} : row->config;
}

std::string known_shape_names() {
  std::string all;
  for (const ShapeRow& row : kShapes) all += (all.empty() ? "" : ", ") + std::string(row.name);
  return all;
}

}  // namespace tern
