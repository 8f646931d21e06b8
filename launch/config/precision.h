#pragma once

#include <vector>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "launch/config/words.h"

namespace diffprob::launch {

/// Number format of the matrix products of a training step.
enum class Precision {
  kAuto,  ///< resolved by precision_on()
  kFp32,
  kTf32,  ///< float32 numbers, whose products a GPU computes in TF32
  kBf16,
  kFp16
};

[[nodiscard]] const std::vector<Word<Precision>>& precision_words();
/// Words of the number formats in which tensors can be stored: fp32, bf16, fp16.
[[nodiscard]] const std::vector<Word<at::ScalarType>>& format_words();

/// Resolves kAuto: fp16 on a GPU, fp32 on a CPU.
[[nodiscard]] Precision precision_on(at::Device device, Precision precision);
/// Number format of the activations. Throws c10::Error on kAuto.
[[nodiscard]] at::ScalarType scalar_type(Precision precision);

}  // namespace diffprob::launch
