// The driver of the linear family: parts, threads, division of work, and what it refuses.
#include "kernels/linear/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "linear_cases.h"
#include "support/kernel_cases.h"

namespace tern {
namespace {

using test::ActivationCase;
using test::decoded;
using test::relative_error;
using test::same_bits;
using test::Storage;
using test::WeightCase;

// The driver: several parts with formats of their own, bias, threads, the workspace it asks for.
class LinearDriver : public testing::TestWithParam<const char*> {
 protected:
  static constexpr int64_t kCols = 768;
  struct Made {
    std::unique_ptr<Linear> linear;
    std::vector<std::vector<std::byte>> bytes;
    std::vector<float> bias;
    std::vector<float> w;  // [rows, cols], decoded
    std::unique_ptr<Storage> storage;
  };
  static Made make(ThreadPool& pool) {
    Made made;
    const std::pair<Format, int64_t> kinds[] = {
        {Format::kQ4_1, 65}, {Format::kQ8_0, 33}, {Format::kBF16, 17}, {Format::kQ6_K, 31}, {Format::kQ4_0, 5}};
    made.bias = test::random_activations(1, 65, ActivationCase::kNormal, 3);
    std::vector<LinearPart> parts;
    for (const auto& [format, rows] : kinds) {
      made.bytes.push_back(test::random_weights(format, rows, kCols, WeightCase::kNormal, 10 + parts.size()));
      const std::vector<float> w = decoded(format, made.bytes.back(), rows * kCols);
      made.w.insert(made.w.end(), w.begin(), w.end());
      parts.push_back({format, rows, made.bytes.back().data(), parts.empty() ? made.bias.data() : nullptr});
    }
    made.bias.resize(65 + 33 + 17 + 31 + 5, 0.0f);
    parts[0].bias = made.bias.data();
    made.linear = std::make_unique<Linear>("test", kCols, parts, KernelSelection::parse(GetParam()));
    made.storage = std::make_unique<Storage>(made.linear->packed_bytes());
    pool.run([&](const Team& team) { made.linear->pack(made.storage->data(), team); });
    return made;
  }
  static std::vector<float> run(const Made& made, ThreadPool& pool, const float* x, int64_t tokens) {
    std::vector<float> out(static_cast<size_t>(tokens * made.linear->rows()));
    Storage workspace(made.linear->workspace_bytes(tokens, pool.size()));
    const LinearArgs args{.x = x,
                          .x_stride = kCols,
                          .tokens = tokens,
                          .out = out.data(),
                          .out_stride = made.linear->rows(),
                          .workspace = workspace.data()};
    pool.run([&](const Team& team) { made.linear->run(args, team); });
    return out;
  }
};

TEST_P(LinearDriver, PartsThreadsAndBits) {
  ThreadPool one(1, {.pin = false});
  ThreadPool two(2, {.pin = false});
  const Made alone = make(one);
  const Made shared = make(two);
  constexpr int64_t kTokens = 21;
  const std::vector<float> x = test::random_activations(kTokens, kCols, ActivationCase::kNormal, 4);
  const std::vector<float> expected = run(alone, one, x.data(), kTokens);
  EXPECT_LE(relative_error(expected, alone.w, x, alone.bias, alone.linear->rows(), kCols, kTokens), 5e-4);
  EXPECT_TRUE(same_bits(run(shared, two, x.data(), kTokens), expected.data()));
  for (int64_t t = 0; t < kTokens; ++t) {
    const float* row = expected.data() + t * alone.linear->rows();
    EXPECT_TRUE(same_bits(run(alone, one, x.data() + t * kCols, 1), row));
    EXPECT_TRUE(same_bits(run(shared, two, x.data() + t * kCols, 1), row));
  }
  std::vector<float> row(kCols);
  for (int64_t n = 0; n < alone.linear->rows(); ++n) {
    shared.linear->read_row(n, row.data());
    EXPECT_TRUE(same_bits(row, alone.w.data() + n * kCols)) << n;
  }
}

// Products of no, one and many rows at once: each has the bits that it has alone.
TEST_P(LinearDriver, SeveralProductsTogether) {
  ThreadPool one(1, {.pin = false}), two(2, {.pin = false});
  const Made made = make(two);
  const int64_t rows = made.linear->rows();
  const std::vector<int64_t> tokens{3, 0, 1, 21};
  for (ThreadPool* pool : {&one, &two}) {
    std::vector<std::vector<float>> x, out;
    std::vector<std::unique_ptr<Storage>> prepared;
    std::vector<LinearTask> tasks;
    for (const int64_t count : tokens) {
      x.push_back(test::random_activations(count, kCols, ActivationCase::kNormal, 7 + x.size()));
      out.emplace_back(static_cast<size_t>(count * rows));
      prepared.push_back(std::make_unique<Storage>(made.linear->prepared_bytes(count)));
    }
    for (size_t i = 0; i < tokens.size(); ++i) {
      tasks.push_back({made.linear.get(),
                       {.x = x[i].data(),
                        .x_stride = kCols,
                        .tokens = tokens[i],
                        .out = out[i].data(),
                        .out_stride = rows,
                        .workspace = prepared[i]->data()}});
    }
    Storage scratch(made.linear->scratch_bytes() * static_cast<uint64_t>(pool->size()));
    pool->run([&](const Team& team) { Linear::run_together(tasks, scratch.data(), team); });
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] == 0) continue;
      EXPECT_TRUE(same_bits(out[i], run(made, one, x[i].data(), tokens[i]).data())) << i;
    }
  }
}

// A product uses what another of the same layout packed, and sees whether it is of its own weights.
TEST_P(LinearDriver, AdoptsWhatIsPacked) {
  ThreadPool one(1);
  const Made packed = make(one), adopting = make(one);
  EXPECT_EQ(packed.linear->packed_layout(), adopting.linear->packed_layout());
  const uint64_t bytes = packed.linear->packed_bytes();
  Storage copy(bytes);
  if (bytes > 0) std::memcpy(copy.data(), packed.storage->data(), bytes);
  adopting.linear->adopt(copy.data());
  const std::vector<float> x = test::random_activations(3, kCols, ActivationCase::kNormal, 4);
  EXPECT_TRUE(same_bits(run(adopting, one, x.data(), 3), run(packed, one, x.data(), 3).data()));
  std::vector<float> scratch(2 * kCols);
  for (uint64_t seed = 0; seed < 40; ++seed)
    EXPECT_TRUE(adopting.linear->agrees_with_file(seed, scratch.data())) << seed;
  for (uint64_t i = 0; i < bytes; ++i) copy.data()[i] ^= std::byte{0x11};
  for (uint64_t seed = 0; seed < 40; ++seed)
    EXPECT_EQ(adopting.linear->agrees_with_file(seed, scratch.data()), bytes == 0) << seed;
}

// Rows made on the spot and columns handed on at once give the same bits; every column is handed on once, in whole
// grains, by the worker that has it.
TEST_P(LinearDriver, RowsFromACallbackAndColumnsToOne) {
  ThreadPool two(2, {.pin = false});
  Made made = make(two);
  made.linear->divide({});
  for (const int64_t tokens : {1, 2, 9}) {
    const std::vector<float> x = test::random_activations(tokens, kCols, ActivationCase::kNormal, 5);
    const std::vector<float> expected = run(made, two, x.data(), tokens);
    std::vector<float> out(expected.size());
    std::vector<std::atomic<int>> completed(static_cast<size_t>(made.linear->rows())),
        owned(static_cast<size_t>(tokens));
    Storage workspace(made.linear->workspace_bytes(tokens, two.size()));
    const auto row = [&](int64_t token, bool owner, float* scratch) -> const float* {
      if (owner) ++owned[static_cast<size_t>(token)];
      std::copy_n(x.data() + token * kCols, kCols, scratch + kCols);
      std::copy_n(scratch + kCols, kCols, scratch);
      return scratch;
    };
    const auto done = [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        ++completed[static_cast<size_t>(n)];
        for (int64_t t = 0; t < tokens; ++t) {
          const auto at = static_cast<size_t>(t * made.linear->rows() + n);
          ASSERT_TRUE(same_bits({out[at]}, &expected[at]));
        }
      }
    };
    LinearArgs args{.x = nullptr,
                    .x_stride = 0,
                    .tokens = tokens,
                    .out = out.data(),
                    .out_stride = made.linear->rows(),
                    .workspace = workspace.data()};
    args.row = row;
    args.done = done;
    two.run([&](const Team& team) { made.linear->run(args, team); });
    for (const auto& count : completed) EXPECT_EQ(count, 1);
    for (const auto& count : owned) EXPECT_EQ(count, 1);
    EXPECT_TRUE(same_bits(out, expected.data()));
  }
}

// Gate and up: columns i of both parts are completed together.
TEST_P(LinearDriver, PairsAreCompletedTogether) {
  ThreadPool two(2, {.pin = false});
  constexpr int64_t kRows = 112, kTokens = 3;
  const std::vector<std::byte> gate = test::random_weights(Format::kQ4_1, kRows, kCols, WeightCase::kNormal, 1);
  const std::vector<std::byte> up = test::random_weights(Format::kQ8_0, kRows, kCols, WeightCase::kNormal, 2);
  const std::vector<LinearPart> parts{{Format::kQ4_1, kRows, gate.data(), nullptr},
                                      {Format::kQ8_0, kRows, up.data(), nullptr}};
  const KernelSelection selection = KernelSelection::parse(GetParam());
  Linear plain("plain", kCols, parts, selection), paired("paired", kCols, parts, selection);
  ASSERT_FALSE(Linear("three", kCols, {parts[0], parts[1], parts[0]}, selection).divides({16, true}));
  ASSERT_FALSE(paired.divides({.grain = 24})) << "112 is no multiple";
  ASSERT_TRUE(paired.divides({16, true}));
  paired.divide({16, true});
  Storage a(plain.packed_bytes()), b(paired.packed_bytes());
  two.run([&](const Team& team) {
    plain.pack(a.data(), team);
    paired.pack(b.data(), team);
  });
  const std::vector<float> x = test::random_activations(kTokens, kCols, ActivationCase::kNormal, 6);
  std::vector<float> expected(kTokens * 2 * kRows), out(expected.size());
  Storage workspace(plain.workspace_bytes(kTokens, 2));
  LinearArgs args{.x = x.data(),
                  .x_stride = kCols,
                  .tokens = kTokens,
                  .out = expected.data(),
                  .out_stride = 2 * kRows,
                  .workspace = workspace.data()};
  two.run([&](const Team& team) { plain.run(args, team); });
  std::vector<std::atomic<int>> completed(kRows);
  const auto done = [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      ++completed[static_cast<size_t>(n)];
      EXPECT_EQ(out[static_cast<size_t>(n)], expected[static_cast<size_t>(n)]);
      EXPECT_EQ(out[static_cast<size_t>(kRows + n)], expected[static_cast<size_t>(kRows + n)]);
    }
  };
  args.out = out.data();
  args.done = done;
  two.run([&](const Team& team) { paired.run(args, team); });
  for (const auto& count : completed) EXPECT_EQ(count, 1);
  EXPECT_TRUE(same_bits(out, expected.data()));
}

std::vector<const char*> selections() {
  std::vector<const char*> all = {"", "ref"};
  for (const KernelListing& kernel : list_kernels()) {
    if (kernel.family != "linear" || !kernel.available) continue;
    for (const char* isa : {"linear:avx2", "linear:avx512", "linear:amx"}) {
      const bool has = kernel.name.starts_with(std::string_view(isa).substr(7));
      if (has && std::string_view(all.back()) != isa) all.push_back(isa);
    }
  }
  return all;
}
std::string selection_name(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), ':', '_');
  return name.empty() ? "default" : name;
}
INSTANTIATE_TEST_SUITE_P(Selections, LinearDriver, testing::ValuesIn(selections()), selection_name);

TEST(Linear, NamesWhatItCannotDo) {
  const std::byte none{};
  try {
    Linear("blk.0.ffn_down", 100, {{Format::kQ4_1, 7, &none, nullptr}}, KernelSelection::parse(""));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("blk.0.ffn_down: no kernel for 7x100 q4_1"), std::string::npos)
        << error.what();
  }
}

TEST(Linear, RefKeepsTheFilesBytes) {
  const std::vector<std::byte> bytes = test::random_weights(Format::kQ4_1, 7, 64, WeightCase::kNormal, 1);
  const Linear linear("w", 64, {{Format::kQ4_1, 7, bytes.data(), nullptr}}, KernelSelection::parse("ref"));
  EXPECT_EQ(linear.packed_bytes(), 0u);
  EXPECT_FALSE(linear.copies(0));
  EXPECT_EQ(linear.kernel_names(), "ref");
}

}  // namespace
}  // namespace tern
