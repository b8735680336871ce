#include "kernels/linear/cuda_matmul.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <string>

#include "core/error.h"

namespace tern {
namespace {

// The few names of the library's documented C interface that are needed; its headers are not.
constexpr int kComputeF32 = 68, kTypeF32 = 0, kTypeBf16 = 14;
constexpr int kDescTransA = 3, kTransposed = 1, kPreferenceWorkspace = 1;
constexpr size_t kWorkspaceBytes = 32 << 20;
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

CudaMatmul::CudaMatmul() : library_(std::make_unique<Library>()), workspace_(kWorkspaceBytes, "cuBLASLt's workspace") {
  library_->call("cublasLtCreate", &handle_);
}

CudaMatmul::~CudaMatmul() {
  for (auto& [shape, plan] : plans_) {
    for (void* layout : {plan->a, plan->b, plan->c}) library_->call("cublasLtMatrixLayoutDestroy", layout);
    library_->call("cublasLtMatmulDescDestroy", plan->desc);
  }
  library_->call("cublasLtDestroy", handle_);
}

const CudaMatmul::Plan& CudaMatmul::plan(const MatmulShape& shape) {
  std::unique_ptr<Plan>& made = plans_[shape];
  if (made != nullptr) return *made;
  auto plan = std::make_unique<Plan>();
  library_->call("cublasLtMatmulDescCreate", &plan->desc, kComputeF32, kTypeF32);
  const int transposed = kTransposed;
  library_->call("cublasLtMatmulDescSetAttribute", plan->desc, kDescTransA, static_cast<const void*>(&transposed),
                 sizeof transposed);
  const auto layout = [&](void** to, int type, int64_t rows, int64_t cols) {
    library_->call("cublasLtMatrixLayoutCreate", to, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols),
                   rows);
  };
  layout(&plan->a, kTypeBf16, shape.cols, shape.rows);
  layout(&plan->b, kTypeBf16, shape.cols, shape.tokens);
  layout(&plan->c, shape.f32_out ? kTypeF32 : kTypeBf16, shape.rows, shape.tokens);
  void* preference = nullptr;
  library_->call("cublasLtMatmulPreferenceCreate", &preference);
  library_->call("cublasLtMatmulPreferenceSetAttribute", preference, kPreferenceWorkspace,
                 static_cast<const void*>(&kWorkspaceBytes), sizeof kWorkspaceBytes);
  int found = 0;
  library_->call("cublasLtMatmulAlgoGetHeuristic", handle_, plan->desc, plan->a, plan->b, plan->c, plan->c, preference,
                 1, &plan->choice, &found);
  library_->call("cublasLtMatmulPreferenceDestroy", preference);
  if (found == 0) {
    fail(ErrorCode::kFailed,
         fmt::format("[cuda] cuBLASLt has no product for {} x {} and {} tokens", shape.rows, shape.cols, shape.tokens));
  }
  made = std::move(plan);
  return *made;
}

void CudaMatmul::run(const MatmulShape& shape, const void* w, const void* x, void* y, void* stream) {
  const Plan& use = plan(shape);
  const float one = 1, zero = 0;
  library_->call("cublasLtMatmul", handle_, use.desc, static_cast<const void*>(&one), w, use.a, x, use.b,
                 static_cast<const void*>(&zero), static_cast<const void*>(y), use.c, y, use.c,
                 static_cast<const void*>(use.choice.algorithm), static_cast<void*>(workspace_.data()), kWorkspaceBytes,
                 stream);
}

}  // namespace tern
