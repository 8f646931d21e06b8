#include "launch/config/precision.h"

#include <c10/util/Exception.h>

namespace diffprob::launch {

const std::vector<Word<Precision>>& precision_words() {
  static const std::vector<Word<Precision>> words = {{"auto", Precision::kAuto},
                                                     {"fp32", Precision::kFp32},
                                                     {"tf32", Precision::kTf32},
                                                     {"bf16", Precision::kBf16},
                                                     {"fp16", Precision::kFp16}};
  return words;
}

const std::vector<Word<at::ScalarType>>& format_words() {
  static const std::vector<Word<at::ScalarType>> words = {
      {"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}};
  return words;
}

Precision precision_on(at::Device device, Precision precision) {
  if (precision != Precision::kAuto) return precision;
  return device.is_cuda() ? Precision::kFp16 : Precision::kFp32;
}

at::ScalarType scalar_type(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
    case Precision::kTf32:
      return at::kFloat;
    case Precision::kBf16:
      return at::kBFloat16;
    case Precision::kFp16:
      return at::kHalf;
    case Precision::kAuto:
      break;
  }
  TORCH_CHECK(false, "precision auto has no number format before the device is known");
}

}  // namespace diffprob::launch
