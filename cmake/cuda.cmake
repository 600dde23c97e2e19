# tlora_cuda.so: nvcc, cuBLASLt and cuDNN from a toolkit, or the two libraries from Python wheels. The CUDA runtime is linked in;
# the library carries no path of the machine that built it.
if(NOT CMAKE_CUDA_COMPILER)
  unset(CMAKE_CUDA_COMPILER CACHE) # a cached NOTFOUND outlives a toolkit installed later
endif()
include(CheckLanguage)
check_language(CUDA)
find_package(CUDAToolkit 12.4 QUIET)

# Wheels hold no unversioned links, so the sonames are looked for too. A folder given later replaces one that was found before.
if(NOT "${TLORA_NVIDIA_ROOT}" STREQUAL "${TLORA_NVIDIA_ROOT_USED}")
  unset(TLORA_CUBLASLT_INCLUDE CACHE)
  unset(TLORA_CUBLASLT_LIBRARY CACHE)
  unset(TLORA_CUDNN_INCLUDE CACHE)
  unset(TLORA_CUDNN_LIBRARY CACHE)
  set(TLORA_NVIDIA_ROOT_USED "${TLORA_NVIDIA_ROOT}" CACHE INTERNAL "")
endif()
set(wheel ${TLORA_NVIDIA_ROOT}/cu${CUDAToolkit_VERSION_MAJOR} ${TLORA_NVIDIA_ROOT}/cublas)
find_path(TLORA_CUBLASLT_INCLUDE cublasLt.h HINTS ${wheel} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
find_library(TLORA_CUBLASLT_LIBRARY NAMES cublasLt libcublasLt.so.${CUDAToolkit_VERSION_MAJOR}
  HINTS ${wheel} ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES lib)
find_path(TLORA_CUDNN_INCLUDE cudnn.h HINTS ${TLORA_NVIDIA_ROOT}/cudnn ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
find_library(TLORA_CUDNN_LIBRARY NAMES cudnn libcudnn.so.9
  HINTS ${TLORA_NVIDIA_ROOT}/cudnn ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES lib)

set(missing "")
if(NOT CMAKE_CUDA_COMPILER OR NOT CUDAToolkit_FOUND)
  list(APPEND missing "nvcc of CUDA 12.4 or newer on PATH")
endif()
if(NOT TLORA_CUBLASLT_INCLUDE OR NOT TLORA_CUBLASLT_LIBRARY)
  list(APPEND missing "cuBLASLt (pip install nvidia-cublas)")
endif()
if(NOT TLORA_CUDNN_INCLUDE OR NOT TLORA_CUDNN_LIBRARY)
  list(APPEND missing "cuDNN 9 (pip install nvidia-cudnn-cu13)")
endif()
list(JOIN missing ", " missing)
if(missing AND TLORA_CUDA STREQUAL "ON")
  message(FATAL_ERROR "TLORA_CUDA=ON, but not found: ${missing}. TLORA_NVIDIA_ROOT can name the wheels' folder nvidia/.")
elseif(missing)
  message(STATUS "tlora: no CUDA backend; not found: ${missing}")
  return()
endif()

# Set before enable_language: nvcc's own default is one old architecture.
set(architectures 80-real 86-real 89-real 90-real 90-virtual)
if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
  list(INSERT architectures 4 120-real)
endif()
set(TLORA_CUDA_ARCHS "" CACHE STRING "CUDA architectures, as CMAKE_CUDA_ARCHITECTURES; empty: all that tlora knows")
if(TLORA_CUDA_ARCHS)
  set(architectures ${TLORA_CUDA_ARCHS})
endif()
set(CMAKE_CUDA_ARCHITECTURES ${architectures})
enable_language(CUDA)
file(GLOB CUDA_SRC CONFIGURE_DEPENDS native/cuda/*.cu native/cuda/*.cpp)
add_library(tlora_cuda SHARED ${CUDA_SRC})
set_target_properties(tlora_cuda PROPERTIES PREFIX "" CUDA_RUNTIME_LIBRARY Static
  CUDA_VISIBILITY_PRESET hidden SKIP_BUILD_RPATH ON)
target_compile_options(tlora_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 --threads=2 -Xcompiler=-Wno-psabi>)
target_include_directories(tlora_cuda PRIVATE native SYSTEM ${CUDAToolkit_INCLUDE_DIRS} ${TLORA_CUBLASLT_INCLUDE} ${TLORA_CUDNN_INCLUDE})
target_link_libraries(tlora_cuda PRIVATE ${TLORA_CUBLASLT_LIBRARY} ${TLORA_CUDNN_LIBRARY})
target_link_options(tlora_cuda PRIVATE -Wl,--no-undefined) # a missing kernel fails here, by name
message(STATUS "tlora: CUDA backend with toolkit ${CUDAToolkit_VERSION}, ${TLORA_CUBLASLT_LIBRARY}, ${TLORA_CUDNN_LIBRARY}, for ${architectures}")

# Makes cuDNN's plans for described devices; built by scripts/compile-cuda.mjs, and absent from the package.
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/test/support/cuda/plans/plans.cpp)
  add_executable(tlora-cudnn-plans EXCLUDE_FROM_ALL test/support/cuda/plans/plans.cpp native/cuda/dnnPlan.cpp native/cuda/choices.cpp
    native/cuda/shapeText.cpp native/cuda/attentionGraphs.cpp native/cuda/convolutionGraphs.cpp)
  target_include_directories(tlora-cudnn-plans PRIVATE native SYSTEM ${CUDAToolkit_INCLUDE_DIRS} ${TLORA_CUDNN_INCLUDE})
  target_link_libraries(tlora-cudnn-plans PRIVATE ${TLORA_CUDNN_LIBRARY})
endif()

# Runs the wrapper of cuBLASLt over a stand-in for it; the same.
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/test/support/cuda/products/products.cpp)
  add_executable(tlora-products EXCLUDE_FROM_ALL test/support/cuda/products/products.cpp test/support/cuda/products/standIn.cpp
    native/cuda/matmul.cpp native/cuda/trials.cpp native/cuda/dnnPlan.cpp native/cuda/choices.cpp native/cuda/shapeText.cpp native/cuda/check.cpp)
  target_include_directories(tlora-products PRIVATE native SYSTEM ${CUDAToolkit_INCLUDE_DIRS} ${TLORA_CUBLASLT_INCLUDE} ${TLORA_CUDNN_INCLUDE})
  target_link_libraries(tlora-products PRIVATE CUDA::cudart_static ${TLORA_CUDNN_LIBRARY})
endif()
