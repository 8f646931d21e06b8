#pragma once

namespace diffprob::data {

/// How an epoch draws its samples.
enum class Sampling {
  kUniform,   ///< every sample once
  kBalanced,  ///< every class equally often
  kWeighted,  ///< a sample of a class with n samples has weight n^-power
};

struct SamplingOptions {
  Sampling kind = Sampling::kUniform;
  double power = 1;  ///< of kWeighted; 0: as uniform, but with repetitions; 1: close to balanced
};

}  // namespace diffprob::data
