// The rows of the formats of codebook_formats.h, which multiply as kquants_kernel_avx2.h says.
#include "kernels/linear/codebook_formats.h"
#include "kernels/linear/kquants_kernel_avx2.h"

namespace tern {
namespace {

constexpr LinearImpl kImpls[] = {row<IQ1_S, NarrowLayout>("avx2_iq1sx256", "narrowx256r8"),
                                 row<IQ1_M, NarrowLayout>("avx2_iq1mx256", "narrowx256r8"),
                                 row<IQ2_XXS, NarrowLayout>("avx2_iq2xxsx256", "narrowx256r8"),
                                 row<IQ2_XS, NarrowLayout>("avx2_iq2xsx256", "narrowx256r8"),
                                 row<IQ2_S, NarrowLayout>("avx2_iq2sx256", "narrowx256r8"),
                                 row<TQ1_0, NarrowLayout>("avx2_tq1x256", "narrowx256r8"),
                                 row<TQ2_0, NarrowLayout>("avx2_tq2x256", "narrowx256r8"),
                                 row<IQ3_XXS, Iq3XxsLayout>("avx2_iq3xxsx256", "iq3xxsx256r8"),
                                 row<IQ3_S, Iq3SLayout>("avx2_iq3sx256", "iq3sx256r8")};

}  // namespace

const LinearImplSpan kLinearAvx2Codebooks = {kImpls, sizeof kImpls / sizeof kImpls[0]};

}  // namespace tern
