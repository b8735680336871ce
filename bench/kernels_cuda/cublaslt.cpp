#include "cublaslt.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "support/device_memory.h"

namespace tern::bench {
namespace {

// The few names of the library's documented C interface that are needed; its headers are not.
using Status = int;
using Handle = void*;
constexpr int kComputeF32 = 68, kTypeF32 = 0, kTypeBf16 = 14;
constexpr int kDescTransA = 3, kTransposed = 1, kPreferenceWorkspace = 1;
constexpr size_t kWorkspaceBytes = 32 << 20;
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

void* g_library = nullptr;

template <typename Function>
Function symbol(const char* name) {
  void* found = dlsym(g_library, name);
  if (found == nullptr) {
    std::fprintf(stderr, "cublasLt: no symbol %s\n", name);
    std::exit(3);
  }
  return reinterpret_cast<Function>(found);
}

template <typename... Args>
void call(const char* name, Args... args) {
  const Status status = symbol<Status (*)(Args...)>(name)(args...);
  if (status == 0) return;
  std::fprintf(stderr, "%s: status %d\n", name, status);
  std::exit(3);
}

}  // namespace

CublasLt::CublasLt() {
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
    if (g_library == nullptr) g_library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  }
  if (g_library == nullptr) {
    why_ = "no libcublasLt.so.13 or .12 in the library path";
    return;
  }
  call("cublasLtCreate", &handle_);
  matmul_ = dlsym(g_library, "cublasLtMatmul");
  test::check_cuda(cudaMalloc(&workspace_, kWorkspaceBytes), "workspace");
}

CublasLt::~CublasLt() {
  if (workspace_ != nullptr) cudaFree(workspace_);
}

// In the library's column-major words: y' [rows, tokens] = (w' [cols, rows])^T x' [cols, tokens].
void CublasLt::bf16(const void* w, const void* x, void* y, int64_t rows, int64_t cols, int64_t tokens,
                    cudaStream_t stream) {
  Handle desc, a, b, c, preference;
  call("cublasLtMatmulDescCreate", &desc, kComputeF32, kTypeF32);
  const int transposed = kTransposed;
  call("cublasLtMatmulDescSetAttribute", desc, kDescTransA, static_cast<const void*>(&transposed), sizeof transposed);
  const auto layout = [](Handle* made, int64_t r, int64_t k) {
    call("cublasLtMatrixLayoutCreate", made, kTypeBf16, static_cast<uint64_t>(r), static_cast<uint64_t>(k), r);
  };
  layout(&a, cols, rows);
  layout(&b, cols, tokens);
  layout(&c, rows, tokens);
  call("cublasLtMatmulPreferenceCreate", &preference);
  call("cublasLtMatmulPreferenceSetAttribute", preference, kPreferenceWorkspace,
       static_cast<const void*>(&kWorkspaceBytes), sizeof kWorkspaceBytes);
  Heuristic choice = {};
  int found = 0;
  call("cublasLtMatmulAlgoGetHeuristic", handle_, desc, a, b, c, c, preference, 1, &choice, &found);
  if (found == 0) {
    std::fprintf(stderr, "cublasLt: no algorithm\n");
    std::exit(3);
  }
  const float one = 1, zero = 0;
  call("cublasLtMatmul", handle_, desc, static_cast<const void*>(&one), w, a, x, b, static_cast<const void*>(&zero),
       static_cast<const void*>(y), c, y, c, static_cast<const void*>(choice.algorithm), workspace_, kWorkspaceBytes,
       stream);
  for (Handle made : {a, b, c}) call("cublasLtMatrixLayoutDestroy", made);
  call("cublasLtMatmulPreferenceDestroy", preference);
  call("cublasLtMatmulDescDestroy", desc);
}

}  // namespace tern::bench
