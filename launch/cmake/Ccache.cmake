# Compiler cache when there is one. The sloppiness is what GCC's precompiled headers need (ccache's manual, "Precompiled headers").
find_program(DIFFPROB_CCACHE ccache)
if(DIFFPROB_CCACHE)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${DIFFPROB_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${launcher})
endif()
