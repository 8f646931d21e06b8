# Compiler cache when there is one. The sloppiness is what GCC's precompiled headers need (ccache's manual, "Precompiled headers").
# Paths below the checkout count as relative, so that checkouts share what is cached.
find_program(DIFFPROB_CCACHE ccache)
if(DIFFPROB_CCACHE)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${DIFFPROB_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${launcher})
endif()
