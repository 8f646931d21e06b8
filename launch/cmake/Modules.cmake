# diffprob_add_module, diffprob_add_room, diffprob_add_test, diffprob_add_bench: one target a folder, one form for all.

add_library(diffprob_warnings INTERFACE)
target_compile_options(diffprob_warnings INTERFACE $<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:-Wall;-Wextra;-Wshadow;-Wnon-virtual-dtor;-Woverloaded-virtual;-Wimplicit-fallthrough>
  $<$<AND:$<BOOL:${DIFFPROB_WERROR}>,$<NOT:$<COMPILE_LANGUAGE:CUDA>>>:-Werror>)
if(DIFFPROB_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(diffprob_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)  # takes the included sources for headers
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(diffprob_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-stringop-overflow>)  # false alarms in "text" + std::string (GCC bug 105651)
endif()
if(DIFFPROB_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(diffprob_warnings INTERFACE -Wno-maybe-uninitialized)  # false alarms in instrumented std::function and LibTorch
endif()

# Flags that must be the same everywhere, or the shared precompiled header could not be used.
add_library(diffprob_flags INTERFACE)
target_include_directories(diffprob_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_features(diffprob_flags INTERFACE cxx_std_20)
target_link_libraries(diffprob_flags INTERFACE diffprob_system_fmt)  # before every other header
if(DIFFPROB_CCACHE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(diffprob_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endif()
if(DIFFPROB_SANITIZE)
  target_compile_options(diffprob_flags INTERFACE -fsanitize=${DIFFPROB_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(diffprob_flags INTERFACE -fsanitize=${DIFFPROB_SANITIZE})
endif()

if(DIFFPROB_FUZZ)
  target_compile_options(diffprob_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# LibTorch's headers are parsed once, here. <torch/torch.h> is not among them: GCC instantiates what a precompiled header leaves pending in
# every translation unit anew, which took 16 s of CPU each, against 5 s with these. Sources include the narrow headers that they use:
# with <torch/nn.h> instead, a test took 14 s, without it 7.
file(WRITE ${PROJECT_BINARY_DIR}/pch/torch_pch.cpp.in "// holds the shared precompiled header\n")
configure_file(${PROJECT_BINARY_DIR}/pch/torch_pch.cpp.in ${PROJECT_BINARY_DIR}/pch/torch_pch.cpp COPYONLY)
set(torch_headers <torch/types.h> <torch/csrc/autograd/custom_function.h> <torch/nn/module.h> <algorithm> <chrono> <filesystem>
  <functional> <memory> <optional> <span> <string> <vector>)
add_library(diffprob_torch_pch STATIC ${PROJECT_BINARY_DIR}/pch/torch_pch.cpp)
target_link_libraries(diffprob_torch_pch PUBLIC diffprob_flags diffprob_dep::torch)
target_precompile_headers(diffprob_torch_pch PRIVATE ${torch_headers})
if(DIFFPROB_BUILD_TESTS)  # GoogleTest's with them, for the tests: a sixth of the time of each
  find_package(GTest REQUIRED)
  add_library(diffprob_test_pch STATIC ${PROJECT_BINARY_DIR}/pch/torch_pch.cpp)
  target_link_libraries(diffprob_test_pch PUBLIC diffprob_flags diffprob_dep::torch GTest::gtest GTest::gmock)
  target_precompile_headers(diffprob_test_pch PRIVATE ${torch_headers} <gtest/gtest.h> <gmock/gmock.h>)
endif()

# A library of one folder; its rooms add their sources with diffprob_add_room.
function(diffprob_add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH_PCH" "" "DEPS;PRIVATE_DEPS")
  add_library(diffprob_${name} STATIC)
  add_library(diffprob::${name} ALIAS diffprob_${name})
  target_link_libraries(diffprob_${name} PUBLIC diffprob_flags ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS} diffprob_warnings)
  if(arg_TORCH_PCH)
    target_precompile_headers(diffprob_${name} REUSE_FROM diffprob_torch_pch)
  endif()
  set_target_properties(diffprob_${name} PROPERTIES UNITY_BUILD ${DIFFPROB_UNITY} UNITY_BUILD_MODE GROUP)
endfunction()

# diffprob_add_room(MODULE [TORCH ...] [ALONE ...] [PLAIN ...] [VECTOR ...] [KERNELS ...]): the sources of a room, each named once.
# TORCH: compiled with LibTorch's precompiled header. ALONE: likewise, but always a translation unit of its own, because
# tests/launch/faults wraps calls to it, which the linker can only do between units. PLAIN: without it, which saves seconds per file. VECTOR: without it, and
# with -O3, because -O2 leaves their loops scalar. KERNELS: for nvcc, which warns of registers that spill to memory.
# With DIFFPROB_UNITY, the sources of a room with TORCH are one translation unit: what LibTorch's headers leave to be
# instantiated in each one (3.6 s with GCC 12) is then done once a room. Names in unnamed namespaces differ within a room for that.
function(diffprob_add_room module)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "TORCH;ALONE;PLAIN;VECTOR;KERNELS")
  target_sources(diffprob_${module} PRIVATE ${arg_TORCH} ${arg_ALONE} ${arg_PLAIN} ${arg_VECTOR} ${arg_KERNELS})
  set(without_header ${arg_VECTOR})
  if(DIFFPROB_UNITY AND arg_TORCH)
    cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE room)
    string(REPLACE "/" "_" room ${room})
    set_source_files_properties(${arg_TORCH} ${arg_PLAIN} TARGET_DIRECTORY diffprob_${module} PROPERTIES UNITY_GROUP ${room})
  else()
    list(APPEND without_header ${arg_PLAIN})
  endif()
  if(without_header)
    set_source_files_properties(${without_header} TARGET_DIRECTORY diffprob_${module} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  endif()
  if(arg_VECTOR)
    set_source_files_properties(${arg_VECTOR} TARGET_DIRECTORY diffprob_${module}
      PROPERTIES COMPILE_OPTIONS -O3)
  endif()
  if(arg_KERNELS)
    set(options --expt-relaxed-constexpr -Xptxas=--warn-on-spills)
    if(DIFFPROB_WERROR)
      list(APPEND options -Xptxas=--warning-as-error)
    endif()
    set_source_files_properties(${arg_KERNELS} TARGET_DIRECTORY diffprob_${module}
      PROPERTIES COMPILE_OPTIONS "${options}")
  endif()
endfunction()

# diffprob_match_pch(NAME torch|test): the program uses that precompiled header, and is compiled as it is (-fPIC, not -fPIE).
function(diffprob_match_pch name header)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  target_precompile_headers(${name} REUSE_FROM diffprob_${header}_pch)
endfunction()

# diffprob_add_test(NAME SRCS ... DEPS ... [LABELS ...] [RANKS 1 2 3 4] [TIMEOUT s] [TORCH_PCH] [GPU])
# With RANKS: one ctest entry a world size, under mpirun; the test's main refuses to run on any other world size.
# With GPU: one more entry, NAME.gpu (on one rank), which runs the same test on the first GPU (tests/support/test_device.h).
function(diffprob_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH_PCH;GPU" "TIMEOUT" "SRCS;DEPS;LABELS;RANKS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE diffprob_flags diffprob_warnings ${arg_DEPS} diffprob_test_support)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)  # a fifth less time in the compiler
  if(arg_TORCH_PCH)
    diffprob_match_pch(${name} test)
  endif()
  set(environment DIFFPROB_SOURCE_DIR=${PROJECT_SOURCE_DIR} DIFFPROB_BINARY_DIR=${PROJECT_BINARY_DIR} OMP_NUM_THREADS=2
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_base_warn_component_unused=0
    "DIFFPROB_PYTHON=${DIFFPROB_PYTHON}")
  if(arg_RANKS)
    target_link_libraries(${name} PRIVATE diffprob_mpi_test_main)
    foreach(ranks IN LISTS arg_RANKS)
      set(processors 2)
      if(ranks EQUAL 1)
        set(processors 1)
      endif()
      add_test(NAME ${name}.ranks${ranks} COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} --oversubscribe --bind-to none
               --mca mpi_yield_when_idle 1 $<TARGET_FILE:${name}>)
      set_tests_properties(${name}.ranks${ranks} PROPERTIES PROCESSORS ${processors} TIMEOUT ${arg_TIMEOUT} LABELS "mpi;${arg_LABELS}"
        SKIP_REGULAR_EXPRESSION "DIFFPROB_TEST_SKIPPED_ENTIRELY"
        ENVIRONMENT "${environment};DIFFPROB_TEST_RANKS=${ranks};OMP_NUM_THREADS=1")
    endforeach()
  else()
    if(arg_GPU)
      target_link_libraries(${name} PRIVATE diffprob_device_test_main)
    else()
      target_link_libraries(${name} PRIVATE GTest::gtest_main)
    endif()
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}" ENVIRONMENT "${environment}")
  endif()
  if(arg_GPU)
    set_property(GLOBAL APPEND PROPERTY DIFFPROB_GPU_PROGRAMS ${name})
    set(launcher "")
    if(arg_RANKS)
      set(launcher ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} 1 --bind-to none)
    endif()
    add_test(NAME ${name}.gpu COMMAND ${launcher} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.gpu PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS gpu RESOURCE_LOCK gpu
      SKIP_REGULAR_EXPRESSION "DIFFPROB_TEST_SKIPPED_ENTIRELY" ENVIRONMENT "${environment};DIFFPROB_TEST_RANKS=1;DIFFPROB_TEST_DEVICE=cuda")
  endif()
endfunction()

# diffprob_run_kernels_on_host(TEST SOURCE ...): TEST may include kernels of these .cu, and headers for nvcc, as C++ for tests/support/simt.
function(diffprob_run_kernels_on_host name)
  set(simt ${PROJECT_SOURCE_DIR}/tests/support/simt)
  set(code ${CMAKE_CURRENT_BINARY_DIR}/${name}_kernels)
  foreach(source IN LISTS ARGN)
    string(REGEX REPLACE "\\.cu$" ".cpp" made ${source})
    add_custom_command(OUTPUT ${code}/${made} DEPENDS ${PROJECT_SOURCE_DIR}/${source} ${simt}/as_host_code.py
      COMMAND ${DIFFPROB_DEFAULT_PYTHON} ${simt}/as_host_code.py ${PROJECT_SOURCE_DIR}/${source} ${code}/${made})
    target_sources(${name} PRIVATE ${code}/${made})
    set_source_files_properties(${code}/${made} PROPERTIES HEADER_FILE_ONLY ON)
  endforeach()
  target_include_directories(${name} BEFORE PRIVATE ${code} ${simt})
  target_sources(${name} PRIVATE ${simt}/simt.cpp)
  set_source_files_properties(${simt}/simt.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()

# Under sanitizers tests take longer. Last call of each folder of tests.
function(diffprob_scale_timeouts)
  get_property(tests DIRECTORY PROPERTY TESTS)
  foreach(test IN LISTS tests)
    get_test_property(${test} TIMEOUT timeout)
    math(EXPR timeout "${timeout} * ${DIFFPROB_TEST_TIMEOUT_SCALE}")
    set_tests_properties(${test} PROPERTIES TIMEOUT ${timeout})
  endforeach()
endfunction()

add_custom_target(benches)  # all of them
# diffprob_add_bench(NAME SRCS ... DEPS ... [GPU]): a program that prints JSON; never part of the default ctest run. GPU: for a GPU, too.
function(diffprob_add_bench name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH_PCH;GPU" "" "SRCS;DEPS")
  if(arg_GPU)
    set_property(GLOBAL APPEND PROPERTY DIFFPROB_GPU_PROGRAMS ${name})
  endif()
  add_executable(${name} EXCLUDE_FROM_ALL ${arg_SRCS})
  target_link_libraries(${name} PRIVATE diffprob_flags diffprob_warnings ${arg_DEPS})
  add_dependencies(benches ${name})
  if(arg_TORCH_PCH)
    diffprob_match_pch(${name} torch)
  endif()
endfunction()
