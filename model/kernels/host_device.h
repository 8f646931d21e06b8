#pragma once

/// DIFFPROB_INLINE before a function of the host: always inlined, so that it is compiled for the
/// vectors of its caller (vector_dispatch.h).
#define DIFFPROB_INLINE [[gnu::always_inline]] inline

/// For functions that both the host and a GPU run.
/// DIFFPROB_HOST_DEVICE before a function: nvcc compiles it for both, other compilers always inline
/// it. DIFFPROB_UNROLL(n) before a loop: a hint for nvcc.
#if defined(__CUDACC__)
#define DIFFPROB_HOST_DEVICE __host__ __device__ __forceinline__
#define DIFFPROB_PRAGMA(text) _Pragma(#text)
#define DIFFPROB_UNROLL(n) DIFFPROB_PRAGMA(unroll n)
#else
#define DIFFPROB_HOST_DEVICE DIFFPROB_INLINE
#define DIFFPROB_UNROLL(n)
#endif
