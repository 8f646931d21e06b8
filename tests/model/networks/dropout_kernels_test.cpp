// The kernel and the launch of dropout, run on the host (tests/support/simt), against the operators
// of the CPU bit by bit.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "model/networks/keyed_dropout.h"

#define gpu emulated_gpu  // symbols of their own: the library has those for a GPU
#include "model/networks/dropout_gpu.cpp"

namespace diffprob::model {
namespace {

TEST(DropoutKernel, DropsWhatTheCpuDrops) {
  constexpr double kP = 0.4;
  constexpr std::int64_t kRows = 3, kFirstRow = 40;
  const auto threshold = static_cast<std::uint64_t>(kP * 0x1p32);
  for (const std::int64_t columns : {1, 7, 512, 1301}) {
    const at::Tensor x = at::randn({kRows, columns});
    const at::Tensor wanted = keyed_dropout(x, kP, {.key = 77, .first_row = kFirstRow});
    for (const bool on_device : {false, true}) {
      const at::Tensor y = at::full_like(x, NAN);
      const std::int64_t key = 77;
      emulated_gpu::dropout({emulated_gpu::Number::kFloat, kRows, static_cast<int>(columns)},
                            x.const_data_ptr(),
                            {on_device ? 5u : 77u, on_device ? &key : nullptr, kFirstRow, threshold,
                             static_cast<float>(1.0 / (1.0 - kP))},
                            y.data_ptr(), nullptr);
      EXPECT_TRUE(at::equal(y, wanted)) << columns << " columns";
    }
  }
}

}  // namespace
}  // namespace diffprob::model
