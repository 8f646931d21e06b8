# Third-party libraries as imported targets, every header SYSTEM. Names: diffprob_dep::{torch,nccl,mpi,hdf5,opencv,imgcodecs,turbojpeg,spdlog,yaml,json,crypto}.
find_package(Threads REQUIRED)

# --- LibTorch -------------------------------------------------------------------------------------------------------
# Imported by hand: find_package(Torch) of a CUDA wheel fails on a machine without a CUDA toolkit.
if(NOT DIFFPROB_LIBTORCH AND DEFINED ENV{DIFFPROB_LIBTORCH})
  set(DIFFPROB_LIBTORCH $ENV{DIFFPROB_LIBTORCH})
endif()
if(NOT DIFFPROB_LIBTORCH)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/launch/setup.sh --print-libtorch
                  OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "launch/setup.sh failed: no LibTorch. Mend what it says, or set DIFFPROB_LIBTORCH.")
  endif()
  set(DIFFPROB_LIBTORCH ${found} CACHE PATH "" FORCE)
endif()
if(NOT EXISTS ${DIFFPROB_LIBTORCH}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "DIFFPROB_LIBTORCH=${DIFFPROB_LIBTORCH} holds no lib/libtorch_cpu.so. Run launch/setup.sh, or name a LibTorch.")
endif()
set(torch_lib ${DIFFPROB_LIBTORCH}/lib)
cmake_path(GET DIFFPROB_LIBTORCH PARENT_PATH site_packages)

# The wheel's own fmt must not shadow the system's, which spdlog was built with.
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/system_fmt)
file(CREATE_LINK /usr/include/fmt ${PROJECT_BINARY_DIR}/system_fmt/fmt SYMBOLIC)
add_library(diffprob_system_fmt INTERFACE)
target_include_directories(diffprob_system_fmt SYSTEM BEFORE INTERFACE ${PROJECT_BINARY_DIR}/system_fmt)

add_library(diffprob_torch INTERFACE)
add_library(diffprob_dep::torch ALIAS diffprob_torch)
target_link_libraries(diffprob_torch INTERFACE diffprob_system_fmt ${torch_lib}/libtorch_cpu.so ${torch_lib}/libc10.so Threads::Threads)
target_include_directories(diffprob_torch SYSTEM INTERFACE
  ${DIFFPROB_LIBTORCH}/include ${DIFFPROB_LIBTORCH}/include/torch/csrc/api/include)
target_link_options(diffprob_torch INTERFACE -Wl,-rpath,${torch_lib})

# --- CUDA and NCCL --------------------------------------------------------------------------------------------------
set(DIFFPROB_CUDA OFF)
if(NOT DIFFPROB_WITH_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit QUIET)
  find_path(DIFFPROB_NCCL_INCLUDE nccl.h HINTS ${site_packages}/nvidia/nccl/include ${CUDAToolkit_INCLUDE_DIRS})
  find_library(DIFFPROB_NCCL_LIBRARY NAMES libnccl.so.2 nccl HINTS ${site_packages}/nvidia/nccl/lib ${CUDAToolkit_LIBRARY_DIR})
  set(absent "")
  if(NOT CUDAToolkit_FOUND OR NOT CUDAToolkit_NVCC_EXECUTABLE)
    list(APPEND absent "a CUDA toolkit (nvcc on PATH)")
  endif()
  if(NOT EXISTS ${torch_lib}/libtorch_cuda.so)
    list(APPEND absent "a CUDA build of LibTorch (${torch_lib}/libtorch_cuda.so)")
  endif()
  if(NOT DIFFPROB_NCCL_INCLUDE OR NOT DIFFPROB_NCCL_LIBRARY)
    list(APPEND absent "NCCL (nccl.h and libnccl.so.2)")
  endif()
  if(NOT absent)
    set(DIFFPROB_CUDA ON)
  elseif(DIFFPROB_WITH_CUDA STREQUAL "ON")
    list(JOIN absent ", " absent)
    message(FATAL_ERROR "DIFFPROB_WITH_CUDA=ON, but not found: ${absent}")
  endif()
endif()
if(DIFFPROB_CUDA)
  # The runtime that LibTorch loads, when the wheel brings it; never libcuda: without a driver the program must start.
  find_library(DIFFPROB_CUDART NAMES libcudart.so.13 libcudart.so.12 HINTS ${site_packages}/nvidia/cu13/lib NO_DEFAULT_PATH)
  if(NOT DIFFPROB_CUDART)
    set(DIFFPROB_CUDART CUDA::cudart)
  endif()
  target_link_libraries(diffprob_torch INTERFACE ${torch_lib}/libc10_cuda.so -Wl,--no-as-needed ${torch_lib}/libtorch_cuda.so -Wl,--as-needed
    ${DIFFPROB_CUDART})
  target_include_directories(diffprob_torch SYSTEM INTERFACE ${CUDAToolkit_INCLUDE_DIRS})
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90 100 CACHE STRING "GPUs that own kernels are compiled for (A100, H100, B200)")
  endif()
  set(CMAKE_CUDA_STANDARD 17)  # CMake 3.25 knows no CUDA 20
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)  # the shared one below
  enable_language(CUDA)
  add_library(diffprob_nccl INTERFACE)
  add_library(diffprob_dep::nccl ALIAS diffprob_nccl)
  target_include_directories(diffprob_nccl SYSTEM INTERFACE ${DIFFPROB_NCCL_INCLUDE})
  target_link_libraries(diffprob_nccl INTERFACE ${DIFFPROB_NCCL_LIBRARY} diffprob_torch)
endif()
message(STATUS "diffprob: LibTorch ${DIFFPROB_LIBTORCH}; CUDA ${DIFFPROB_CUDA} (asked: ${DIFFPROB_WITH_CUDA})")

# --- MPI (the C interface only) -------------------------------------------------------------------------------------
find_package(MPI REQUIRED COMPONENTS C)
add_library(diffprob_mpi INTERFACE)
add_library(diffprob_dep::mpi ALIAS diffprob_mpi)
target_include_directories(diffprob_mpi SYSTEM INTERFACE ${MPI_C_INCLUDE_DIRS})
target_compile_definitions(diffprob_mpi INTERFACE OMPI_SKIP_MPICXX=1)
target_link_libraries(diffprob_mpi INTERFACE ${MPI_C_LIBRARIES})

# --- the rest -------------------------------------------------------------------------------------------------------
find_package(HDF5 REQUIRED COMPONENTS C)
add_library(diffprob_hdf5 INTERFACE)
add_library(diffprob_dep::hdf5 ALIAS diffprob_hdf5)
target_include_directories(diffprob_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(diffprob_hdf5 INTERFACE ${HDF5_C_LIBRARIES})

find_package(OpenCV REQUIRED COMPONENTS core imgproc)
add_library(diffprob_opencv INTERFACE)
add_library(diffprob_dep::opencv ALIAS diffprob_opencv)
target_include_directories(diffprob_opencv SYSTEM INTERFACE ${OpenCV_INCLUDE_DIRS})
target_link_libraries(diffprob_opencv INTERFACE opencv_core opencv_imgproc)
# Alone, because Debian's imgcodecs pulls in GDAL and more than 100 other libraries.
add_library(diffprob_imgcodecs INTERFACE)
add_library(diffprob_dep::imgcodecs ALIAS diffprob_imgcodecs)
if(DIFFPROB_WITH_IMGCODECS)
  find_package(OpenCV REQUIRED COMPONENTS core imgproc imgcodecs)
  target_link_libraries(diffprob_imgcodecs INTERFACE diffprob_opencv opencv_imgcodecs)
endif()

find_path(DIFFPROB_TURBOJPEG_INCLUDE turbojpeg.h REQUIRED)
find_library(DIFFPROB_TURBOJPEG_LIBRARY turbojpeg REQUIRED)
add_library(diffprob_turbojpeg INTERFACE)
add_library(diffprob_dep::turbojpeg ALIAS diffprob_turbojpeg)
target_include_directories(diffprob_turbojpeg SYSTEM INTERFACE ${DIFFPROB_TURBOJPEG_INCLUDE})
target_link_libraries(diffprob_turbojpeg INTERFACE ${DIFFPROB_TURBOJPEG_LIBRARY})

find_package(spdlog REQUIRED)
add_library(diffprob_spdlog INTERFACE)
add_library(diffprob_dep::spdlog ALIAS diffprob_spdlog)
target_link_libraries(diffprob_spdlog INTERFACE diffprob_system_fmt spdlog::spdlog)

find_package(yaml-cpp REQUIRED)
add_library(diffprob_yaml INTERFACE)
add_library(diffprob_dep::yaml ALIAS diffprob_yaml)
target_link_libraries(diffprob_yaml INTERFACE yaml-cpp)

find_package(nlohmann_json REQUIRED)
add_library(diffprob_json INTERFACE)
add_library(diffprob_dep::json ALIAS diffprob_json)
target_link_libraries(diffprob_json INTERFACE nlohmann_json::nlohmann_json)

find_package(OpenSSL REQUIRED COMPONENTS Crypto)
add_library(diffprob_crypto INTERFACE)
add_library(diffprob_dep::crypto ALIAS diffprob_crypto)
target_link_libraries(diffprob_crypto INTERFACE OpenSSL::Crypto)
