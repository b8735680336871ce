// The rows of the formats of codebook_formats.h, which multiply as kquants_kernel_amx.h says.
#include "kernels/linear/codebook_formats.h"
#include "kernels/linear/kquants_kernel_amx.h"

namespace tern {
namespace {

constexpr LinearImpl kImpls[] = {
    Row<IQ1_S, kLinearAvx512Codebooks, "avx512_iq1sx256", NarrowLayout>::make("amx_iq1sx256", "narrowx256r16"),
    Row<IQ1_M, kLinearAvx512Codebooks, "avx512_iq1mx256", NarrowLayout>::make("amx_iq1mx256", "narrowx256r16"),
    Row<IQ2_XXS, kLinearAvx512Codebooks, "avx512_iq2xxsx256", NarrowLayout>::make("amx_iq2xxsx256", "narrowx256r16"),
    Row<IQ2_XS, kLinearAvx512Codebooks, "avx512_iq2xsx256", NarrowLayout>::make("amx_iq2xsx256", "narrowx256r16"),
    Row<IQ2_S, kLinearAvx512Codebooks, "avx512_iq2sx256", NarrowLayout>::make("amx_iq2sx256", "narrowx256r16"),
    Row<TQ1_0, kLinearAvx512Codebooks, "avx512_tq1x256", NarrowLayout>::make("amx_tq1x256", "narrowx256r16"),
    Row<TQ2_0, kLinearAvx512Codebooks, "avx512_tq2x256", NarrowLayout>::make("amx_tq2x256", "narrowx256r16"),
    Row<IQ3_XXS, kLinearAvx512Codebooks, "avx512_iq3xxsx256", Iq3XxsLayout>::make("amx_iq3xxsx256", "iq3xxsx256r16"),
    Row<IQ3_S, kLinearAvx512Codebooks, "avx512_iq3sx256", Iq3SLayout>::make("amx_iq3sx256", "iq3sx256r16"),
};

}  // namespace

const LinearImplSpan kLinearAmxCodebooks = {kImpls, sizeof kImpls / sizeof kImpls[0]};

}  // namespace tern
