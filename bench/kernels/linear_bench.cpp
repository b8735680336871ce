// Times of the linear family beside the limits of the machine, measured in the same run.
//
//   linear_bench [--threads N] [--formats q4_1,q8_0] [--shapes 576x1536,4096x4096 (rows x cols)] [--tokens 1,8,64,512]
//                [--kernels TERN_KERNELS-list] [--huge] [--stream MiB]
//
// With few tokens the weights come from memory: a case walks through copies of its matrix that together are several
// times larger than the last-level cache (by default five times one of 32 MiB). Bytes and operations are what cost()
// counts; times are the best of several rounds.
#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "kernels/linear/linear.h"
#include "printed_limits.h"
#include "quant/format.h"
#include "support/kernel_cases.h"

namespace tern::bench {
namespace {

// A round is as short as a scheduler's time slice allows, and the best of many counts: other processes then cost time
// but do not change the result.
constexpr double kRoundSeconds = 0.0015;
constexpr int kRounds = 60;
constexpr int64_t kSlice = 32ll << 20;  // of memory, read in a round

struct Options {
  int threads = 1;
  std::vector<std::string> formats = {"q4_0", "q4_1", "q8_0", "bf16"};
  std::vector<std::string> shapes = {"576x1536", "1536x576", "49152x576", "4096x4096"};
  std::vector<std::string> tokens = {"1", "2", "4", "8", "16", "64", "512"};
  std::string kernels;
  bool huge = false;
  int64_t stream_bytes = 5 * kSlice;
};

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--huge") {
      options.huge = true;
      continue;
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (flag == "--threads") options.threads = std::stoi(value);
    if (flag == "--formats") options.formats = split(value);
    if (flag == "--shapes") options.shapes = split(value);
    if (flag == "--tokens") options.tokens = split(value);
    if (flag == "--kernels") options.kernels = value;
    if (flag == "--stream") options.stream_bytes = std::stoll(value) / 32 * kSlice;
  }
  return options;
}

// Anonymous memory, touched, optionally in huge pages.
class Memory {
 public:
  Memory(int64_t bytes, bool huge) : bytes_(static_cast<size_t>(bytes + (4 << 20)) >> 21 << 21) {
    void* place = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) std::abort();
    madvise(place, bytes_, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    data_ = static_cast<std::byte*>(place);
    std::memset(data_, 0, bytes_);
  }
  ~Memory() { munmap(data_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  std::byte* data() const { return data_; }

 private:
  size_t bytes_;
  std::byte* data_;
};

template <typename Work>
double best_seconds(int rounds, Work work) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

void run_case(const Options& options, const MachineLimits& limits, ThreadPool& pool, const FormatInfo& format,
              int64_t rows, int64_t cols) {
  // A few random rows, repeated: values do not matter for time, but must be ordinary numbers.
  const int64_t some = std::min<int64_t>(rows, 64);
  const auto pattern = test::random_weights(format.format, some, cols, test::WeightCase::kNormal, 1);
  const size_t row_bytes = pattern.size() / static_cast<size_t>(some);
  std::vector<std::byte> file(row_bytes * static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(file.data() + r * static_cast<int64_t>(row_bytes),
                pattern.data() + r % some * static_cast<int64_t>(row_bytes), row_bytes);
  }
  const KernelSelection selection = KernelSelection::parse(options.kernels);
  const LinearPart part{format.format, rows, file.data(), nullptr};
  const int64_t bytes =
      static_cast<int64_t>(std::max(file.size(), size_t{Linear("", cols, {part}, selection).packed_bytes()}));
  const int64_t copies = std::max<int64_t>(1, options.stream_bytes / bytes);
  std::vector<std::unique_ptr<Linear>> linears;
  const Memory storage(copies * (bytes + 64), options.huge);
  double pack_seconds = 0;
  for (int64_t i = 0; i < copies; ++i) {
    linears.push_back(std::make_unique<Linear>("bench", cols, std::vector<LinearPart>{part}, selection));
    const int64_t at = i * ((bytes + 63) / 64 * 64);
    pack_seconds +=
        best_seconds(1, [&] { pool.run([&](const Team& team) { linears.back()->pack(storage.data() + at, team); }); });
  }
  const std::string name = linears[0]->kernel_names();
  fmt::print("{} {} {}x{}: {} copies, packing {:.2f} Gweights/s\n", name, format.name, rows, cols, copies,
             static_cast<double>(rows * cols * copies) / pack_seconds / 1e9);
  for (const std::string& count : options.tokens) {
    const int64_t tokens = std::stoll(count);
    const std::vector<float> x = test::random_activations(tokens, cols, test::ActivationCase::kNormal, 2);
    const Memory workspace(static_cast<int64_t>(linears[0]->workspace_bytes(tokens, pool.size())), false);
    const Memory out(tokens * rows * 4, false);
    const Cost cost = linears[0]->cost(tokens);
    const double peak = limits.peak_gops(cost.arithmetic);
    const double guess = std::max(cost.bytes / limits.read_gbps(), cost.ops / peak) / 1e9;
    const int64_t calls = std::clamp(static_cast<int64_t>(kRoundSeconds / guess), int64_t{1}, copies);
    const LinearArgs args{.x = x.data(),
                          .x_stride = cols,
                          .tokens = tokens,
                          .out = reinterpret_cast<float*>(out.data()),
                          .out_stride = rows,
                          .workspace = workspace.data()};
    int64_t next = 0;
    const int rounds = std::clamp(static_cast<int>(0.4 / (guess * static_cast<double>(calls))), 5, kRounds);
    const double seconds = best_seconds(rounds,
                                        [&] {
                                          const int64_t first = next;
                                          next = (next + calls) % copies;
                                          pool.run([&](const Team& team) {
                                            for (int64_t i = 0; i < calls; ++i) {
                                              linears[static_cast<size_t>((first + i) % copies)]->run(args, team);
                                              team.sync();
                                            }
                                          });
                                        }) /
                           static_cast<double>(calls);
    fmt::print("  tokens {:4}  {:10.1f} us  {:6.1f} GB/s ({:3.0f} %)  {:6.1f} GOP/s ({:3.0f} %)\n", tokens,
               seconds * 1e6, cost.bytes / seconds / 1e9, cost.bytes / seconds / 1e7 / limits.read_gbps(),
               cost.ops / seconds / 1e9, cost.ops / seconds / 1e7 / peak);
  }
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  ThreadPool pool(options.threads, {.leave_out = false});
  const MachineLimits limits = printed_limits(pool.size());
  for (const std::string& name : options.formats) {
    const FormatInfo* format = find_format(name);
    if (format == nullptr) continue;
    for (const std::string& shape : options.shapes) {
      const size_t times = shape.find('x');
      try {
        run_case(options, limits, pool, *format, std::stoll(shape), std::stoll(shape.substr(times + 1)));
      } catch (const Error& error) {
        fmt::print("{} {}: {}\n", name, shape, error.what());
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) { return tern::bench::run(argc, argv); }
