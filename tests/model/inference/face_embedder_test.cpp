#include "model/inference/face_embedder.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

namespace diffprob::model {
namespace {

at::Tensor images(std::int64_t count) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{11});
  return at::randint(0, 256, {count, 112, 112, 3}, generator, at::kByte);
}

/// Every embedding of 53 images, given in pieces that start at whole blocks, with 1 to 3 threads.
void expect_one_set_of_bits(const FaceEmbedderOptions& options) {
  const auto backbone = make_backbone({.name = "tiny", .embedding_dim = 32});
  const at::Tensor all = images(53);
  const at::Tensor want = FaceEmbedder(*backbone, at::kCPU, options).embed(all);
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const FaceEmbedder embedder(*backbone, at::kCPU, options);
    for (const std::int64_t piece : {16, 32, 48}) {
      for (std::int64_t begin = 0; begin < 53; begin += piece) {
        const std::int64_t count = std::min<std::int64_t>(piece, 53 - begin);
        const auto [straight, mirrored] = embedder.embed_with_mirror(all.narrow(0, begin, count));
        EXPECT_TRUE(at::equal(straight, want.narrow(0, begin, count)))
            << threads << " threads, " << piece << " from " << begin;
        EXPECT_TRUE(at::equal(mirrored, embedder.embed(all.narrow(0, begin, count).flip(2))));
      }
    }
  }
  at::set_num_threads(before);
}

TEST(FaceEmbedder, BitsDoNotDependOnHowManyImagesOrThreads) {
  expect_one_set_of_bits({});
}

TEST(FaceEmbedder, BitsOfANetworkThatIsNotRebuiltDoNotEither) {
  expect_one_set_of_bits({.fold = false});
}

TEST(FaceEmbedder, SixteenBitsAreMeantWhetherRebuiltOrNot) {
  const auto backbone = make_backbone({.name = "tiny", .embedding_dim = 32});
  const at::Tensor all = images(9);
  const at::Tensor want = FaceEmbedder(*backbone, at::kCPU).embed(all);
  for (const bool fold : {true, false}) {
    const at::Tensor found = FaceEmbedder(*backbone, at::kCPU, {fold, at::kBFloat16}).embed(all);
    const double difference = ((found - want).abs().max() / want.abs().max()).item<double>();
    EXPECT_GT(difference, 1e-5) << fold;
    EXPECT_LT(difference, 5e-2) << fold;
  }
}

TEST(FaceEmbedder, BatchesAreWholeBlocksForEveryThread) {
  EXPECT_EQ(whole_blocks(0, at::kCPU), 0);
  EXPECT_EQ(whole_blocks(1, at::kCPU), 16);
  EXPECT_EQ(whole_blocks(64, at::kCPU), 64);
  EXPECT_EQ(whole_blocks(500, at::kCPU), 512);
  EXPECT_EQ(whole_blocks(257, at::kCUDA), 257);
  const auto backbone = make_backbone({.name = "tiny", .embedding_dim = 8});
  const int before = at::get_num_threads();
  at::set_num_threads(3);
  EXPECT_EQ(FaceEmbedder(*backbone, at::kCPU).batch_of(7), 48);
  EXPECT_EQ(FaceEmbedder(*backbone, at::kCPU).batch_of(50), 64);
  at::set_num_threads(before);
}

TEST(FaceEmbedder, NoImages) {
  const auto backbone = make_backbone({.name = "tiny", .embedding_dim = 8});
  EXPECT_EQ(FaceEmbedder(*backbone, at::kCPU).embed(images(0)).sizes(), (at::IntArrayRef{0, 8}));
}

}  // namespace
}  // namespace diffprob::model
