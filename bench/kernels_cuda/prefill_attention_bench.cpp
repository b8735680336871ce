// Times of prefill attention over a paged cache, causal; sdpa_prefill.py gives PyTorch's.
//
//   prefill_attention_bench [--head-dim 128,64] [--lengths 512,1024,2048,4096,8192,16384] [--tokens 16384]
//                           [--heads 32] [--kv-heads 8] [--history 0] [--window 0] [--block-tokens 64] [--rounds N]
//                           [--kv bf16|fp8] [--dump FOLDER]
//
// As many sequences of a length as make `tokens` query tokens, each behind `history` keys; blocks lie in random order.
// Operations are those of cost(): what the mask leaves. --dump writes q, k, v and out of the first shape, for
// `sdpa_prefill.py --check`.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "core/half.h"
#include "gpu_timing.h"
#include "kernels/attention/prefill_attention_plan.h"

namespace tern::bench {
namespace {

struct Options {
  std::vector<std::string> head_dims = {"128", "64"};
  std::vector<std::string> lengths = {"512", "1024", "2048", "4096", "8192", "16384"};
  int32_t tokens = 16384, heads = 32, kv_heads = 8, history = 0, window = 0, block_tokens = 64;
  int rounds = 20;
  std::string dump, kv = "bf16";
};

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

Options parse(int argc, char** argv) {
  Options options;
  const std::pair<const char*, int32_t*> numbers[] = {
      {"--tokens", &options.tokens},   {"--heads", &options.heads},   {"--kv-heads", &options.kv_heads},
      {"--history", &options.history}, {"--window", &options.window}, {"--block-tokens", &options.block_tokens},
      {"--rounds", &options.rounds}};
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    bool known = true;
    if (flag == "--head-dim") {
      options.head_dims = split(value);
    } else if (flag == "--lengths") {
      options.lengths = split(value);
    } else if (flag == "--kv") {
      options.kv = value;
    } else if (flag == "--dump") {
      options.dump = value;
    } else {
      known = false;
      for (const auto& [name, number] : numbers) {
        if (flag == name) *number = std::stoi(value), known = true;
      }
    }
    if (!known || value.empty()) {
      fmt::print(stderr, "prefill_attention_bench: unknown flag {}, or no value\n", flag);
      std::exit(2);
    }
  }
  return options;
}

std::vector<uint16_t> random_bf16(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> values(std::min<size_t>(count, 3 << 20));
  for (uint16_t& bits : values) bits = bf16_from_f32(normal(random));
  values.reserve(count);
  while (values.size() < count) values.push_back(values[values.size() - (3 << 20) + 64]);  // no row twice in a head
  return values;
}

class Step {
 public:
  Step(const PrefillAttentionDesc& desc, const PrefillAttentionImpl& impl, const Options& options, int32_t length)
      : desc_(desc), impl_(impl), length_(length + options.history) {
    const int32_t count = std::max(options.tokens / length, 1);
    for (int32_t i = 0; i < count; ++i) sequences_.push_back({i * length, length, options.history, nullptr});
    batch_ = {sequences_.data(), count, count * length, 0};
    table_stride_ = (length_ + desc.block_tokens - 1) / desc.block_tokens;
    tables_.resize(static_cast<size_t>(count * table_stride_));
    std::iota(tables_.begin(), tables_.end(), 0);
    std::shuffle(tables_.begin(), tables_.end(), std::mt19937(2));
    plan_ = plan_prefill_attention(desc, batch_, impl.strips, impl.thread_blocks());
    const int64_t columns = int64_t{desc.heads} * desc.head_dim;
    q_ = random_bf16(static_cast<size_t>(batch_.tokens * columns), 3);
    // Of FP8, what is random in halves is so in codes and scales.
    pool_ = random_bf16(tables_.size() * static_cast<size_t>(block_elements()), 4);
    for (const auto* words : {&q_, &pool_}) memory_.emplace_back(*words);
    memory_.emplace_back(q_);
    memory_.emplace_back(tables_);
    memory_.emplace_back(plan_.units);
    const DecodeKvLayout layout = decode_kv_layout(desc.kv, desc.kv_heads, desc.head_dim, desc.block_tokens);
    args_ = {desc,
             decode_kv_view(layout, memory_[1].data(), static_cast<int64_t>(tables_.size()), layout.bytes(), 0),
             memory_[0].data(),
             columns,
             memory_[2].data(),
             columns,
             nullptr,
             batch_.tokens,
             reinterpret_cast<const int32_t*>(memory_[3].data()),
             table_stride_,
             reinterpret_cast<const PrefillUnit*>(memory_[4].data()),
             plan_.thread_blocks};
  }

  Cost cost() const { return impl_.cost(desc_, batch_); }
  int32_t rounds() const { return plan_.rounds; }
  Sample time(int rounds, cudaStream_t stream) const {
    return time_graph(stream, rounds,
                      [&](cudaStream_t s) { check_cuda(static_cast<cudaError_t>(impl_.run(args_, s)), impl_.name); });
  }

  // Raw bf16: q and out [tokens, heads, head_dim], k and v [sequences, kv_heads, keys, head_dim].
  void dump(const std::string& folder) const {
    write(folder + "/q", q_);
    write(folder + "/out", memory_[2].to_host<uint16_t>());
    for (const int value : {0, 1}) {
      std::vector<uint16_t> rows;
      for (size_t s = 0; s < sequences_.size(); ++s) {
        for (int32_t head = 0; head < desc_.kv_heads; ++head) {
          for (int32_t key = 0; key < length_; ++key) {
            const int64_t block =
                tables_[s * static_cast<size_t>(table_stride_) + static_cast<size_t>(key / desc_.block_tokens)];
            const int64_t from = block * block_elements() + value * block_elements() / 2 +
                                 (head * desc_.block_tokens + key % desc_.block_tokens) * desc_.head_dim;
            rows.insert(rows.end(), pool_.begin() + from, pool_.begin() + from + desc_.head_dim);
          }
        }
      }
      write(folder + (value ? "/v" : "/k"), rows);
    }
  }

 private:
  int64_t block_elements() const { return 2 * int64_t{desc_.kv_heads} * desc_.block_tokens * desc_.head_dim; }
  static void write(const std::string& path, const std::vector<uint16_t>& words) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr || std::fwrite(words.data(), 2, words.size(), file) != words.size()) {
      fmt::print(stderr, "prefill_attention_bench: cannot write {}\n", path);
      std::exit(2);
    }
    std::fclose(file);
  }

  PrefillAttentionDesc desc_;
  const PrefillAttentionImpl& impl_;
  int32_t length_;
  std::vector<SequenceSlice> sequences_;
  BatchShape batch_ = {};
  int64_t table_stride_ = 0;
  std::vector<int32_t> tables_;
  std::vector<uint16_t> q_, pool_;
  PrefillAttentionPlan plan_;
  std::vector<DeviceMemory> memory_;
  PrefillAttentionArgs args_ = {};
};

const PrefillAttentionImpl& impl_of(const PrefillAttentionDesc& desc) {
  for (int i = 0; i < kPrefillAttentionSm90.count; ++i) {
    if (kPrefillAttentionSm90.rows[i].supports(desc)) return kPrefillAttentionSm90.rows[i];
  }
  fmt::print(stderr, "prefill_attention_bench: no kernel\n");
  std::exit(2);
}

int run(const Options& options) {
  if (!test::has_device()) {
    fmt::print(stderr, "prefill_attention_bench: no CUDA device\n");
    return 3;
  }
  cudaStream_t stream;
  check_cuda(cudaStreamCreate(&stream), "stream");
  cudaDeviceProp device;
  check_cuda(cudaGetDeviceProperties(&device, 0), "properties");
  fmt::print("{}; {} tokens in all, {}/{} heads, {} keys of history, window {}, pages of {}; median of {} rounds\n",
             device.name, options.tokens, options.heads, options.kv_heads, options.history, options.window,
             options.block_tokens, options.rounds);
  fmt::print("{:<14} {:>6} {:>6}  {:>9} {:>7}  {}\n", "kernel", "length", "rounds", "us", "TFLOPS", "range, us");
  for (const std::string& head_dim : options.head_dims) {
    const int32_t dim = std::stoi(head_dim);
    const PrefillAttentionDesc desc = {options.heads,
                                       options.kv_heads,
                                       dim,
                                       options.block_tokens,
                                       options.window,
                                       1 / std::sqrt(static_cast<float>(dim)),
                                       0,
                                       options.kv == "fp8" ? DecodeKv::kFp8 : DecodeKv::kBf16};
    const PrefillAttentionImpl& impl = impl_of(desc);
    for (const std::string& length : options.lengths) {
      const Step step(desc, impl, options, std::stoi(length));
      const Sample sample = step.time(options.rounds, stream);
      fmt::print("{:<14} {:>6} {:>6}  {:9.1f} {:7.1f}  {:.1f}-{:.1f}\n", impl.name, length, step.rounds(),
                 sample.median, step.cost().ops / sample.median * 1e-6, sample.best, sample.worst);
      std::fflush(stdout);
      if (!options.dump.empty()) return step.dump(options.dump), 0;
    }
  }
  cudaStreamDestroy(stream);
  return 0;
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) { return tern::bench::run(tern::bench::parse(argc, argv)); }
