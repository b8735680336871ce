// The rows of the k-quants and IQ4_XS, which multiply as kquants_kernel_amx.h says.
#include "kernels/linear/kquants_kernel_amx.h"

namespace tern {
namespace {

constexpr LinearImpl kImpls[] = {
    Row<Q4_K, kLinearAvx512Kquants, "avx512_q4kx256">::make("amx_q4kx256", "q4kx256r16"),
    Row<Q6_K, kLinearAvx512Kquants, "avx512_q6kx256">::make("amx_q6kx256", "q6kx256r16"),
    Row<Q5_K, kLinearAvx512Kquants, "avx512_q5kx256">::make("amx_q5kx256", "q5kx256r16"),
    Row<Q3_K, kLinearAvx512Kquants, "avx512_q3kx256">::make("amx_q3kx256", "q3kx256r16"),
    Row<Q2_K, kLinearAvx512Kquants, "avx512_q2kx256">::make("amx_q2kx256", "q2kx256r16"),
    Row<IQ4_XS, kLinearAvx512Kquants, "avx512_iq4xsx256">::make("amx_iq4xsx256", "iq4xsx256r16"),
};

}  // namespace

const LinearImplSpan kLinearAmxKquants = {kImpls, sizeof kImpls / sizeof kImpls[0]};

}  // namespace tern
