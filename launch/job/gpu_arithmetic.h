#pragma once

#include <c10/core/Device.h>

#include "launch/config/config.h"

namespace diffprob::launch {

/// What cuDNN, cuBLAS and NCCL may do with the digits of this process, from train.precision and
/// train.deterministic: TF32 beside 16-bit numbers, which have no more digits; the fastest
/// algorithms that cuDNN finds, or, with train.deterministic, those that give equal bits in every
/// run, and NCCL's ring, whose order of summation does not depend on message sizes. Before NCCL
/// starts and the first product is made. On a CPU nothing is set: all is deterministic there.
void set_gpu_arithmetic(const Config& config, c10::Device device);

}  // namespace diffprob::launch
