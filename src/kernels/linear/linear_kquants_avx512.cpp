// The rows of the k-quants and IQ4_XS, which multiply as kquants_kernel_avx512.h says.
#include "kernels/linear/kquants_kernel_avx512.h"

namespace tern {
namespace {

constexpr LinearImpl kImpls[] = {
    row<Q4_K>("avx512_q4kx256", "q4kx256r16"), row<Q6_K>("avx512_q6kx256", "q6kx256r16"),
    row<Q5_K>("avx512_q5kx256", "q5kx256r16"), row<Q3_K>("avx512_q3kx256", "q3kx256r16"),
    row<Q2_K>("avx512_q2kx256", "q2kx256r16"), row<IQ4_XS>("avx512_iq4xsx256", "iq4xsx256r16")};

}  // namespace

const LinearImplSpan kLinearAvx512Kquants = {kImpls, sizeof kImpls / sizeof kImpls[0]};

}  // namespace tern
