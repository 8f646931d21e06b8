// The kernel and the launch that make faces, run on the host (tests/support/simt), against LibTorch
// bit by bit.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "model/input/normalize.h"

#define gpu emulated_gpu  // symbols of their own: the library has those for a GPU
#include "model/input/gpu.cpp"

namespace diffprob::model {
namespace {

TEST(FacesKernel, MakesWhatLibTorchMakes) {
  constexpr std::int64_t kImages = 4, kSide = 19;
  const at::Tensor images = at::arange(kImages * kSide * kSide * 3)
                                .mul(37)
                                .remainder(256)
                                .to(at::kByte)
                                .view({kImages, kSide, kSide, 3});
  const at::Tensor rows = at::tensor({3, 0, 0}, at::kLong),
                   flips = at::tensor({1, 0, 1}, at::kByte);
  const emulated_gpu::FaceImages from = {
      images.const_data_ptr<std::uint8_t>(), rows.const_data_ptr<std::int64_t>(),
      flips.const_data_ptr<std::uint8_t>(), static_cast<int>(kSide)};
  at::Tensor chosen = images.index_select(0, rows);
  chosen = at::where(flips.ne(0).view({-1, 1, 1, 1}), chosen.flip(2), chosen).contiguous();
  using emulated_gpu::Number;
  for (const auto& [type, number] :
       {std::pair(at::kFloat, Number::kFloat), std::pair(at::kHalf, Number::kHalf),
        std::pair(at::kBFloat16, Number::kBFloat16)}) {
    for (const int channels : {3, 4, 8}) {
      const at::Tensor faces = at::full({3, kSide, kSide, channels}, NAN, type);
      emulated_gpu::make_faces(from, 3, number, channels, faces.data_ptr(), nullptr);
      const at::Tensor wanted = at::constant_pad_nd(normalize_faces(chosen, at::kCPU).to(type),
                                                    {0, 0, 0, 0, 0, channels - 3});
      EXPECT_TRUE(at::equal(faces.permute({0, 3, 1, 2}), wanted)) << channels << " channels";
    }
  }
}

}  // namespace
}  // namespace diffprob::model
