#pragma once

/// For functions that both the host and a GPU run.
/// DIFFPROB_HOST_DEVICE before a function: nvcc compiles it for both, other compilers always inline
/// it. DIFFPROB_UNROLL(n) before a loop: a hint for nvcc.
#if defined(__CUDACC__)
#define DIFFPROB_HOST_DEVICE __host__ __device__ __forceinline__
#define DIFFPROB_PRAGMA(text) _Pragma(#text)
#define DIFFPROB_UNROLL(n) DIFFPROB_PRAGMA(unroll n)
#else
#define DIFFPROB_HOST_DEVICE [[gnu::always_inline]] inline
#define DIFFPROB_UNROLL(n)
#endif
