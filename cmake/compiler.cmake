# Flags for every target. No -march=native and no -ffast-math anywhere; fused multiply-adds are written out in the source.
set(TERN_CXX_OPTIONS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers
    # g++ 12 reports these two wrongly for std::string and std::variant at -O3.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    -ffp-contract=off -fvisibility=hidden -fstack-protector-strong)
if(TERN_WERROR)
  list(APPEND TERN_CXX_OPTIONS -Werror)
endif()
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${TERN_CXX_OPTIONS}>")
add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
add_link_options(-Wl,-z,relro,-z,now)

if(TERN_SANITIZE)
  add_compile_options(-fsanitize=${TERN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -U_FORTIFY_SOURCE)
  add_link_options(-fsanitize=${TERN_SANITIZE})
endif()

find_program(TERN_CCACHE ccache)
if(TERN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${TERN_CCACHE})
endif()
find_program(TERN_MOLD mold)
if(TERN_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Instruction sets by file name: only these files may use them, and the rest of the program chooses at run time.
# g++ 12 calls its own "undefined" intrinsics uninitialized (GCC bug 105593), hence the two exceptions.
set(TERN_FLAGS_avx2 -O2 -Wno-uninitialized -Wno-maybe-uninitialized -mavx2 -mfma -mf16c -mbmi2)
set(TERN_FLAGS_avx512 -O2 -Wno-uninitialized -Wno-maybe-uninitialized -mavx512f -mavx512bw -mavx512dq -mavx512vl
    -mavx512vnni -mavx512bf16 -mavx512vbmi -mfma -mf16c -mbmi2 -mprefer-vector-width=512)
# Tiles are in assembly; what goes with them is AVX-512.
# Under AddressSanitizer each of them would take minutes: every template there is inlined whole, and the checks with it. They
# call the checks instead, and UBSan looks at the reference kernels, whose shapes and indices are the same.
# clang builds fuzz targets alone, which run no kernel.
if(TERN_SANITIZE MATCHES "address")
  foreach(isa avx2 avx512)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      list(APPEND TERN_FLAGS_${isa} -fno-sanitize=undefined --param=asan-instrumentation-with-call-threshold=0)
    else()
      list(APPEND TERN_FLAGS_${isa} -fno-sanitize=all)
    endif()
  endforeach()
endif()
set(TERN_FLAGS_amx ${TERN_FLAGS_avx512})
