# The CUDA back end, only with TERN_CUDA (preset "cuda"): *_sm80.cu, *_sm90.cu and cuda_*.cpp replace none_sm80.cpp, none_sm90.cpp
# and none_cuda.cpp, and programs that need a GPU are built. cudart is linked statically, so that a program starts where
# no CUDA is. Machine code for Hopper; *_sm80.cu, which use nothing newer than Ampere, carry PTX for other GPUs besides
# (CUDA_FORCE_PTX_JIT=1 runs it on Hopper too).
set(CMAKE_CUDA_ARCHITECTURES OFF)  # by a flag: CMake 3.25 knows neither sm_90a nor nvcc's C++20
set(CMAKE_CUDA_FLAGS_INIT "-gencode=arch=compute_90a,code=sm_90a")
enable_language(CUDA)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
find_package(CUDAToolkit REQUIRED)
set(TERN_CUDA_OPTIONS -Xcompiler=-Wall,-Wextra,-fvisibility=hidden)
if(TERN_WERROR)
  list(APPEND TERN_CUDA_OPTIONS -Werror=all-warnings)
endif()
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:${TERN_CUDA_OPTIONS}>")
set(TERN_FLAGS_sm80 "-gencode=arch=compute_80,code=compute_80")
