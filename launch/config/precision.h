#pragma once

#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace diffprob::launch {

/// "fp32", "tf32", "bf16", "fp16" -> scalar type. Throws c10::Error on another name.
[[nodiscard]] at::ScalarType scalar_type(const std::string& name);
/// train.precision with "auto" resolved: fp16 on a GPU, fp32 on a CPU.
[[nodiscard]] std::string precision_on(at::Device device, const std::string& precision);

}  // namespace diffprob::launch
