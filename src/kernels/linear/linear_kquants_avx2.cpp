// The rows of the k-quants and IQ4_XS, which multiply as kquants_kernel_avx2.h says.
#include "kernels/linear/kquants_kernel_avx2.h"

namespace tern {
namespace {

constexpr LinearImpl kImpls[] = {row<Q4_K>("avx2_q4kx256", "q4kx256r8"), row<Q6_K>("avx2_q6kx256", "q6kx256r8"),
                                 row<Q5_K>("avx2_q5kx256", "q5kx256r8"), row<Q3_K>("avx2_q3kx256", "q3kx256r8"),
                                 row<Q2_K>("avx2_q2kx256", "q2kx256r8"), row<IQ4_XS>("avx2_iq4xsx256", "iq4xsx256r8")};

}  // namespace

const LinearImplSpan kLinearAvx2Kquants = {kImpls, sizeof kImpls / sizeof kImpls[0]};

}  // namespace tern
