// The linear family: y[t, n] = sum_k x[t, k] * w[n, k] (+ bias[n]).
//
// A Linear is a product bound to weights. It may consist of several matrices stacked over n (merged Q, K and V), each
// with its own format and so its own implementation; they read the same x and write neighbouring columns. Binding fixes
// one implementation and one packed layout a part; pack() fills storage that the runner owns, or keeps the file's
// bytes. Owned by the runner's executable. After pack() everything is const and called by all workers of a team
// together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/function_ref.h"
#include "core/thread_pool.h"
#include "kernels/linear/linear_impl.h"
#include "kernels/selection.h"

namespace tern {

struct LinearPart {
  Format format;
  int64_t rows;
  const std::byte* data;  // the file's rows; must outlive the Linear when the layout keeps them
  const float* bias;      // [rows] f32 or null; borrowed
};

// Makes row `token` of x: returns cols() floats, in `scratch` (2 * cols() floats) or elsewhere. Every token is asked
// for by one worker as its owner; a single token by all, of whom one is its owner and may write what others will read
// later.
using LinearRow = FunctionRef<const float*(int64_t token, bool owner, float* scratch)>;
// Told by the worker that completed it: columns [begin, end) of `out`, all tokens; see LinearDivision.
using LinearDone = FunctionRef<void(int64_t begin, int64_t end)>;

struct LinearArgs {
  const float* x;  // [tokens, x_stride], the first cols() columns are used; unused when there is `row`
  int64_t x_stride;
  int64_t tokens;
  float* out;  // [tokens, out_stride], the first rows() columns are written
  int64_t out_stride;
  std::byte* workspace;  // at least workspace_bytes(tokens, team size), 64-byte aligned
  LinearRow row = {};    // null: rows are read from x
  LinearDone done = {};  // null: nobody wants to know
};

class Linear;

// One of several products that run together: what run() takes, but the workspace is of prepared_bytes() only.
struct LinearTask {
  const Linear* linear;
  LinearArgs args;
};

// Which output features one worker completes together, for what goes on with them at once.
struct LinearDivision {
  int64_t grain = 0;    // features [i * grain, (i + 1) * grain); 0: a panel, whatever that is
  bool paired = false;  // features i of both parts; done() then tells the range within a part
};

class Linear {
 public:
  // Chooses an implementation a part. Throws naming shape and format when none supports it. `name` is for messages.
  Linear(std::string name, int64_t cols, std::vector<LinearPart> parts, const KernelSelection& selection);

  const std::string& name() const { return name_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t part_count() const { return static_cast<int64_t>(parts_.size()); }
  // Whether work can be divided so: whole panels, no grain across two parts.
  bool divides(const LinearDivision& division) const;
  void divide(const LinearDivision& division);  // before pack()

  // Bytes of storage that pack() fills; 0 when every part keeps the file's bytes.
  uint64_t packed_bytes() const;
  // Whether part i is copied by pack(), so that the file's pages may be released afterwards.
  bool copies(int64_t part) const;
  // Fills `storage` (64-byte aligned, packed_bytes()). Called by all workers of a team; the caller keeps storage alive.
  void pack(std::byte* storage, const Team& team);
  // Instead of pack(): `storage` already holds what it would write.
  void adopt(const std::byte* storage);
  // All that the bytes which pack() writes depend on beside the weights: implementation, layout, format and shape of
  // every copied part. Equal texts, equal layouts.
  std::string packed_layout() const;
  // Whether a row of each copied part, as it is packed, has the values of the file's. `seed` chooses the row, from the
  // middle half, so that the pages read are the part's own and may be given back with it. scratch: 2 * cols() floats.
  bool agrees_with_file(uint64_t seed, float* scratch) const;

  // Grows with tokens and workers only.
  uint64_t workspace_bytes(int64_t tokens, int workers) const;
  void run(const LinearArgs& args, const Team& team) const;
  // Several products as one, with one wait between preparing their rows and multiplying; tasks of no tokens are passed
  // over. Each writes its own output. scratch: team size times scratch_bytes() of the widest, 64-byte aligned.
  static void run_together(std::span<const LinearTask> tasks, std::byte* scratch, const Team& team);
  uint64_t prepared_bytes(int64_t tokens) const;
  uint64_t scratch_bytes() const;
  // Weight row `row` as f32: out[cols()]. Serves tied embeddings.
  void read_row(int64_t row, float* out) const;

  Cost cost(int64_t tokens) const;
  std::string kernel_names() const;  // "avx512_q4x32" or "avx512_q4kx256+avx512_q6kx256"

 private:
  struct BoundPart {
    LinearPart part;
    const LinearImpl* impl;
    const std::byte* weights;
    int64_t first_row;
    int64_t prepared_offset;  // bytes a token before this part's prepared rows; parts that prepare alike share them
    bool owns_slot;           // the first part of those that share
    // Division: units [first_unit, first_unit + units) of unit_panels panels each are this part's.
    int64_t first_unit, units, unit_panels;
    double unit_bytes;  // read for one token
    int64_t panels() const { return (part.rows + impl->panel_rows - 1) / impl->panel_rows; }
    int64_t unit_rows() const { return unit_panels * impl->panel_rows; }
  };
  double work_of(int64_t tokens) const;  // in bytes read for one token
  int64_t units() const { return parts_.back().first_unit + parts_.back().units; }
  int64_t unit_rows_of(const LinearImpl& impl) const;
  Team::Range share_of(int worker, int workers, bool one_token) const;
  void prepare_row(const LinearArgs& args, int64_t token, bool owner, float* scratch, std::byte* prepared) const;
  void run_units(const LinearArgs& args, const std::byte* prepared, Team::Range units) const;

  std::string name_;
  int64_t cols_ = 0, rows_ = 0;
  uint64_t prepared_row_bytes_ = 0;  // of one token, all preparations together
  LinearDivision division_;
  std::vector<BoundPart> parts_;
};

// Rows of prepared_bytes() that the prepared activations of a job take.
int64_t prepared_rows(int64_t tokens);
// Row `token` of a job of `tokens`, prepared as `impl` wants it. `prepared`: of the whole job.
void prepare_token(const LinearImpl& impl, const float* x, int64_t cols, std::byte* prepared, int64_t token,
                   int64_t tokens);

// All rows in order of preference.
std::vector<const LinearImpl*> linear_impls();

}  // namespace tern
