#include "kernels/linear/cuda_matmul.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <string>

#include "core/error.h"

namespace tern {
namespace {

// The few names of the library's documented C interface that are needed; its headers are not.
constexpr int kComputeF32 = 68, kTypeF32 = 0, kTypeBf16 = 14, kTypeE4m3 = 28;
constexpr int kDescTransA = 3, kTransposed = 1, kPreferenceWorkspace = 1;
constexpr int kPreferenceReductions = 3;  // which ways to add the parts of a sum that is cut are allowed, a bit each
constexpr int kDescScaleA = 17, kDescScaleB = 18, kDescFastSums = 25, kDescScaleModeA = 31, kDescScaleModeB = 32;
constexpr int kScaleOfRow = 3;  // a vector of f32, one along each outer dimension
constexpr size_t kWorkspaceBytes = 32 << 20;
// The number of tokens whose algorithm all have: between decoding, where memory decides, and prompts.
constexpr int64_t kFixedTokens = 128;
constexpr const char* kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12"};

struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

}  // namespace

struct CudaMatmul::Library {
  Library() {
    for (const char* name : kNames) {
      if (loaded == nullptr) loaded = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    }
    if (loaded == nullptr) {
      fail(ErrorCode::kResource, fmt::format("[cuda] {} or {} is needed, neither is in the library path (package "
                                             "libcublas, or LD_LIBRARY_PATH)",
                                             kNames[0], kNames[1]));
    }
  }
  template <typename... Args>
  void call(const char* name, Args... args) const {
    void* found = dlsym(loaded, name);
    if (found == nullptr) fail(ErrorCode::kFailed, fmt::format("[cuda] cuBLASLt has no {}", name));
    const int status = reinterpret_cast<int (*)(Args...)>(found)(args...);
    if (status != 0) fail(ErrorCode::kFailed, fmt::format("[cuda] {}: status {}", name, status));
  }
  void* loaded = nullptr;
};

// In the library's column-major words: y' [rows, tokens] = (w' [cols, rows])^T x' [cols, tokens].
struct CudaMatmul::Plan {
  void *desc = nullptr, *a = nullptr, *b = nullptr, *c = nullptr;
  Heuristic choice = {};
};

CudaMatmul::CudaMatmul(bool fixed)
    : fixed_(fixed), library_(std::make_unique<Library>()), workspace_(kWorkspaceBytes, "cuBLASLt's workspace") {
  library_->call("cublasLtCreate", &handle_);
}

CudaMatmul::~CudaMatmul() {
  for (auto& [shape, plan] : plans_) {
    for (void* layout : {plan->a, plan->b, plan->c}) library_->call("cublasLtMatrixLayoutDestroy", layout);
    library_->call("cublasLtMatmulDescDestroy", plan->desc);
  }
  library_->call("cublasLtDestroy", handle_);
}

void CudaMatmul::set(void* desc, int attribute, const void* value, size_t bytes) const {
  library_->call("cublasLtMatmulDescSetAttribute", desc, attribute, value, bytes);
}

void CudaMatmul::set_scales(void* desc, const MatmulOperands& operands) const {
  set(desc, kDescScaleA, &operands.w_scales, sizeof operands.w_scales);
  set(desc, kDescScaleB, &operands.x_scales, sizeof operands.x_scales);
}

void* CudaMatmul::describe(const MatmulShape& shape, const MatmulOperands& operands) const {
  void* desc = nullptr;
  library_->call("cublasLtMatmulDescCreate", &desc, kComputeF32, kTypeF32);
  const int transposed = kTransposed;
  set(desc, kDescTransA, &transposed, sizeof transposed);
  if (!shape.fp8) return desc;
  const int mode = kScaleOfRow;
  const int8_t fast =
      1;  // the matrix unit's short sums of 8-bit floats are not moved to f32 registers every 128 columns
  set(desc, kDescScaleModeA, &mode, sizeof mode);
  set(desc, kDescScaleModeB, &mode, sizeof mode);
  set(desc, kDescFastSums, &fast, sizeof fast);
  set_scales(desc, operands);
  return desc;
}

const CudaMatmul::Plan& CudaMatmul::plan(const MatmulShape& shape, const MatmulOperands& operands) {
  if (const auto made = plans_.find(shape); made != plans_.end()) return *made->second;
  auto plan = std::make_unique<Plan>();
  plan->desc = describe(shape, operands);
  const auto layout = [&](void** to, int type, int64_t rows, int64_t cols) {
    library_->call("cublasLtMatrixLayoutCreate", to, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols),
                   rows);
  };
  const int type = shape.fp8 ? kTypeE4m3 : kTypeBf16;
  layout(&plan->a, type, shape.cols, shape.rows);
  layout(&plan->b, type, shape.cols, shape.tokens);
  layout(&plan->c, shape.f32_out ? kTypeF32 : kTypeBf16, shape.rows, shape.tokens);
  if (fixed_ && shape.tokens != kFixedTokens) {
    MatmulShape same = shape;
    same.tokens = kFixedTokens;
    plan->choice = this->plan(same, operands).choice;
  } else {
    choose(shape, *plan);
  }
  plans_[shape] = std::move(plan);
  return *plans_[shape];
}

void CudaMatmul::choose(const MatmulShape& shape, Plan& plan) {
  void* preference = nullptr;
  library_->call("cublasLtMatmulPreferenceCreate", &preference);
  library_->call("cublasLtMatmulPreferenceSetAttribute", preference, kPreferenceWorkspace,
                 static_cast<const void*>(&kWorkspaceBytes), sizeof kWorkspaceBytes);
  const uint32_t none = 0;
  if (fixed_) {
    library_->call("cublasLtMatmulPreferenceSetAttribute", preference, kPreferenceReductions,
                   static_cast<const void*>(&none), sizeof none);
  }
  int found = 0;
  library_->call("cublasLtMatmulAlgoGetHeuristic", handle_, plan.desc, plan.a, plan.b, plan.c, plan.c, preference, 1,
                 &plan.choice, &found);
  library_->call("cublasLtMatmulPreferenceDestroy", preference);
  if (found == 0) {
    fail(ErrorCode::kFailed, fmt::format("[cuda] cuBLASLt has no {} product for {} x {} and {} tokens",
                                         shape.fp8 ? "fp8" : "bf16", shape.rows, shape.cols, shape.tokens));
  }
}

void CudaMatmul::run(const MatmulShape& shape, const MatmulOperands& operands, void* stream) {
  const Plan& use = plan(shape, operands);
  if (shape.fp8) set_scales(use.desc, operands);
  const float one = 1, zero = 0;
  library_->call("cublasLtMatmul", handle_, use.desc, static_cast<const void*>(&one), operands.w, use.a, operands.x,
                 use.b, static_cast<const void*>(&zero), static_cast<const void*>(operands.y), use.c, operands.y, use.c,
                 static_cast<const void*>(use.choice.algorithm), static_cast<void*>(workspace_.data()), kWorkspaceBytes,
                 stream);
}

}  // namespace tern
