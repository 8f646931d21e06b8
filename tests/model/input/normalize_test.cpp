#include "model/input/normalize.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace diffprob::model {
namespace {

TEST(NormalizeFaces, EveryByteAsTheReferenceRoundsIt) {
  // All 256 values in the first channel, another order in the others, so that a mix-up of channels
  // or of rows and columns shows.
  auto images = torch::empty({2, 16, 8, 3}, at::kByte);
  for (int b = 0; b < 2; ++b) {
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 8; ++x) {
        const int value = (b * 16 + y) * 8 + x;
        images[b][y][x][0] = value;
        images[b][y][x][1] = 255 - value;
        images[b][y][x][2] = (value * 7 + 3) % 256;
      }
    }
  }

  const auto faces = normalize_faces(images, at::kCPU);

  ASSERT_EQ(faces.sizes(), (at::IntArrayRef{2, 3, 16, 8}));
  EXPECT_EQ(faces.scalar_type(), at::kFloat);
  EXPECT_TRUE(faces.is_contiguous(at::MemoryFormat::ChannelsLast));
  const auto bytes = images.accessor<std::uint8_t, 4>();
  const auto values = faces.accessor<float, 4>();
  for (int b = 0; b < 2; ++b) {
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < 16; ++y) {
        for (int x = 0; x < 8; ++x) {
          const float want = (static_cast<float>(bytes[b][y][x][c]) / 255.0F - 0.5F) / 0.5F;
          ASSERT_EQ(values[b][c][y][x], want) << int{bytes[b][y][x][c]};
        }
      }
    }
  }
}

TEST(NormalizeFaces, KeepsTheInput) {
  const auto images = torch::full({1, 2, 2, 3}, 200, at::kByte);

  (void)normalize_faces(images, at::kCPU);

  EXPECT_TRUE(images.eq(200).all().item<bool>());
}

TEST(NormalizeFaces, EmptyBatch) {
  EXPECT_EQ(normalize_faces(torch::empty({0, 4, 4, 3}, at::kByte), at::kCPU).sizes(),
            (at::IntArrayRef{0, 3, 4, 4}));
}

TEST(NormalizeFaces, RefusesOtherShapesAndTypes) {
  EXPECT_THROW((void)normalize_faces(torch::zeros({1, 4, 4, 3}), at::kCPU), c10::Error);
  EXPECT_THROW((void)normalize_faces(torch::zeros({1, 3, 4, 4}, at::kByte), at::kCPU), c10::Error);
  EXPECT_THROW((void)normalize_faces(torch::zeros({4, 4, 3}, at::kByte), at::kCPU), c10::Error);
  EXPECT_THROW((void)normalize_faces(at::Tensor(), at::kCPU), c10::Error);
}

}  // namespace
}  // namespace diffprob::model
