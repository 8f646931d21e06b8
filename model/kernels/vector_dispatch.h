#pragma once

/// Runs a loop compiled for the widest vectors of the machine. The body must be
/// DIFFPROB_INLINE (host_device.h), and its file should be compiled with -O3.
namespace diffprob::model::host {

#if defined(__x86_64__)
enum class Vectors { kAvx512, kAvx2, kBasic };

inline Vectors widest_vectors() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return Vectors::kAvx512;
  }
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Vectors::kAvx2
                                                                         : Vectors::kBasic;
}

template <auto body, class... Arguments>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")]] void
on_avx512(Arguments... arguments) {
  body(arguments...);
}

template <auto body, class... Arguments>
[[gnu::target("avx2,fma")]] void on_avx2(Arguments... arguments) {
  body(arguments...);
}

template <auto body, class... Arguments>
void run_widest(Arguments... arguments) {
  static const Vectors vectors = widest_vectors();
  if (vectors == Vectors::kAvx512) return on_avx512<body>(arguments...);
  if (vectors == Vectors::kAvx2) return on_avx2<body>(arguments...);
  body(arguments...);
}
#else
template <auto body, class... Arguments>
void run_widest(Arguments... arguments) {
  body(arguments...);
}
#endif

}  // namespace diffprob::model::host
