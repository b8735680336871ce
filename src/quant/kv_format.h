// The formats that a KV cache can be stored in: what one head's key, or value, of one token takes. One row each;
// options, runners, cost and tests learn a format from its row. How elements lie inside a block is the runner's own
// (kernels/kv_view.h on the CPU).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "quant/format_id.h"
#include "quant/kv_fp8.h"
#include "quant/kv_int8.h"

namespace tern {

struct KvFormatInfo {
  Format format;
  std::string_view name;   // of --kv-cache-dtype
  std::string_view alias;  // llama.cpp's spelling, or vLLM's, or empty
  uint32_t element_bytes;
  uint32_t scale_bytes;  // for each token and head, of keys and of values
};

std::span<const KvFormatInfo> kv_formats();
const KvFormatInfo* find_kv_format(std::string_view name);
const KvFormatInfo* find_kv_format(Format format);
std::string_view kv_name_of(Format format);  // of any format
// "f32, f16, bf16, int8, fp8", for messages.
std::string kv_format_names();

// Bytes of one token's key, or value, of one head. Throws bad_input for a format that no cache has.
int64_t kv_head_bytes(Format format, int64_t head_dim);

}  // namespace tern
