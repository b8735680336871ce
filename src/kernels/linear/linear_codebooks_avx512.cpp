// The rows of the formats of codebook_formats.h, which multiply as kquants_kernel_avx512.h says.
#include "kernels/linear/codebook_formats.h"
#include "kernels/linear/kquants_kernel_avx512.h"

namespace tern {
namespace {

constexpr LinearImpl kImpls[] = {row<IQ1_S, NarrowLayout>("avx512_iq1sx256", "narrowx256r16"),
                                 row<IQ1_M, NarrowLayout>("avx512_iq1mx256", "narrowx256r16"),
                                 row<IQ2_XXS, NarrowLayout>("avx512_iq2xxsx256", "narrowx256r16"),
                                 row<IQ2_XS, NarrowLayout>("avx512_iq2xsx256", "narrowx256r16"),
                                 row<IQ2_S, NarrowLayout>("avx512_iq2sx256", "narrowx256r16"),
                                 row<TQ1_0, NarrowLayout>("avx512_tq1x256", "narrowx256r16"),
                                 row<TQ2_0, NarrowLayout>("avx512_tq2x256", "narrowx256r16"),
                                 row<IQ3_XXS, Iq3XxsLayout>("avx512_iq3xxsx256", "iq3xxsx256r16"),
                                 row<IQ3_S, Iq3SLayout>("avx512_iq3sx256", "iq3sx256r16")};

}  // namespace

const LinearImplSpan kLinearAvx512Codebooks = {kImpls, sizeof kImpls / sizeof kImpls[0]};

}  // namespace tern
