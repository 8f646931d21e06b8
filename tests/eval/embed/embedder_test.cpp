#include "eval/embed/embedder.h"

#include <cmath>
#include <optional>
#include <string>

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include "data/error.h"
#include "data/images/jpeg_decoder.h"
#include "data/loading/sampler.h"
#include "dist/communicator.h"
#include "model/inference/face_embedder.h"

namespace diffprob::eval {
namespace {

constexpr int kSize = 24;

/// Convolution, batch norm, dropout, a linear layer: left-right asymmetric, and different in
/// training mode.
class SmallBackbone : public model::Backbone {
 public:
  SmallBackbone() {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 3).stride(2)));
    norm = register_module("norm", torch::nn::BatchNorm2d(4));
    dropout = register_module("dropout", torch::nn::Dropout(0.5));
    linear = register_module("linear", torch::nn::Linear(4 * 11 * 11, 6));
    for (auto& parameter : parameters()) fill(parameter);
    for (auto& buffer : norm->buffers()) {
      if (buffer.is_floating_point()) fill(buffer);
    }
  }
  torch::Tensor forward(torch::Tensor faces) override {
    return linear(dropout(norm(conv(faces)).relu()).contiguous().flatten(1));
  }
  std::int64_t embedding_dim() const override { return 6; }

  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d norm{nullptr};
  torch::nn::Dropout dropout{nullptr};
  torch::nn::Linear linear{nullptr};

 private:
  /// The same on all ranks, none two alike, positive (variances).
  static void fill(at::Tensor tensor) {
    const torch::NoGradGuard no_grad;
    tensor.copy_(torch::arange(tensor.numel(), at::kFloat)
                     .mul(0.7)
                     .sin()
                     .mul(0.3)
                     .add(0.4)
                     .view(tensor.sizes()));
  }
};

/// Pictures of changing size (every fifth must be resized), none two alike.
data::VerificationSet make_set(int pairs) {
  data::VerificationSet set;
  set.name = "small";
  for (int i = 0; i < 2 * pairs; ++i) {
    const int size = i % 5 == 4 ? kSize + 9 : kSize;
    std::vector<std::uint8_t> rgb;
    for (int at = 0; at < size * size; ++at) {
      const double x = at % size, y = at / size;
      for (int c = 0; c < 3; ++c)
        rgb.push_back(static_cast<std::uint8_t>(
            127 + 120 * std::sin(0.05 * (c + 1) * x + 0.03 * y * (i % 7) + i)));
    }
    set.images.push_back(data::encode_jpeg(rgb, size, size, 90));
  }
  for (int i = 0; i < pairs; ++i) set.same.push_back(i % 2 == 0);
  return set;
}

/// Images [begin, end) as the backbone wants them, by loops. [n, 3, kSize, kSize]
at::Tensor slow_faces(const data::VerificationSet& set, std::int64_t begin, std::int64_t end,
                      bool mirrored) {
  auto faces =
      torch::empty({end - begin, 3, kSize, kSize}).contiguous(at::MemoryFormat::ChannelsLast);
  auto values = faces.accessor<float, 4>();
  data::ImageDecoder decoder;
  std::vector<std::uint8_t> rgb(kSize * kSize * 3);
  for (std::int64_t i = begin; i < end; ++i) {
    decoder.decode(set.images[static_cast<std::size_t>(i)], kSize, rgb.data());
    for (int at = 0; at < kSize * kSize * 3; ++at) {
      const int c = at % 3, x = at / 3 % kSize, y = at / 3 / kSize;
      const float value =
          (static_cast<float>(rgb[static_cast<std::size_t>(at)]) / 255.0F - 0.5F) / 0.5F;
      values[i - begin][c][y][mirrored ? kSize - 1 - x : x] = value;
    }
  }
  return faces;
}

/// On one rank and one thread, a block at a time, the last one filled up with black images.
/// [2, images, D]: of the images and of their mirror images
at::Tensor slow_views(const data::VerificationSet& set, SmallBackbone& backbone) {
  const torch::NoGradGuard no_grad;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  backbone.eval();
  std::vector<at::Tensor> parts;
  const auto images = static_cast<std::int64_t>(set.images.size());
  const std::int64_t block = model::embedding_block(at::kCPU);
  for (std::int64_t begin = 0; begin < images; begin += block) {
    const auto end = std::min(images, begin + block);
    const auto embed = [&](bool mirrored) {
      const auto black = torch::full({block - (end - begin), 3, kSize, kSize}, -1.0F);
      const auto faces = torch::cat({slow_faces(set, begin, end, mirrored), black})
                             .contiguous(at::MemoryFormat::ChannelsLast);
      return backbone.forward(faces).narrow(0, 0, end - begin);
    };
    parts.push_back(torch::stack({embed(false), embed(true)}));
  }
  backbone.train();
  at::set_num_threads(threads);
  return torch::cat(parts, 1);
}

/// Sums of the two views. [images, D]
at::Tensor slow_embeddings(const data::VerificationSet& set, SmallBackbone& backbone) {
  const auto views = slow_views(set, backbone);
  return views[0] + views[1];
}

/// XNorm as InsightFace's scripts define it: over images and mirror images, before they are added.
double slow_mean_norm(const at::Tensor& views) {
  double sum = 0;
  const auto rows = views.to(at::kDouble).reshape({-1, views.size(2)});
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    double squares = 0;
    for (std::int64_t d = 0; d < rows.size(1); ++d)
      squares += rows[i][d].item<double>() * rows[i][d].item<double>();
    sum += std::sqrt(squares);
  }
  return sum / static_cast<double>(rows.size(0));
}

class Embedder : public ::testing::Test {
 protected:
  at::Tensor embed(const data::VerificationSet& set, std::int64_t batch, int threads = 2) {
    ResidentSet resident(set, kSize, threads, /*keep=*/false);
    return embed_set(resident, *backbone, *communicator, {batch}).sums;
  }
  std::unique_ptr<dist::Communicator> communicator = dist::make_mpi_communicator();
  std::shared_ptr<SmallBackbone> backbone = std::make_shared<SmallBackbone>();
};

/// While one lives, LibTorch computes with so many threads.
class Threads {
 public:
  explicit Threads(int threads) : before_(at::get_num_threads()) { at::set_num_threads(threads); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

TEST_F(Embedder, BitsDependNeitherOnRanksNorOnBatchNorOnThreads) {
  // 26 images: a block and ten images, which do not divide by 2 or 3 ranks.
  const auto set = make_set(13);
  const auto want = slow_embeddings(set, *backbone);
  ASSERT_GT((want[0] - want[1]).abs().max().item<float>(), 1e-2);  // images are told apart

  for (const int threads : {1, 2, 3}) {
    const Threads guard(threads);
    for (const std::int64_t batch : {1, 7, 64, 500}) {
      const auto got = embed(set, batch, threads - 1);

      EXPECT_EQ(got.scalar_type(), at::kFloat);
      EXPECT_TRUE(torch::equal(got, want))
          << threads << " threads, batch " << batch << ": " << (got - want).abs().max();
    }
  }
}

TEST_F(Embedder, BitsOfAFoldedNetworkDependNeitherOnBatchNorOnThreads) {
  ResidentSet set(make_set(10), 112, 2, /*keep=*/false);
  const auto tiny = model::make_backbone({.name = "tiny", .embedding_dim = 32});
  at::Tensor first;
  for (const int threads : {1, 2, 3}) {
    const Threads guard(threads);
    for (const std::int64_t batch : {1, 7, 64}) {
      const auto got = embed_set(set, *tiny, *communicator, {.batch_per_rank = batch}).sums;
      if (!first.defined()) first = got;
      EXPECT_TRUE(torch::equal(got, first))
          << threads << " threads, batch " << batch << ": " << (got - first).abs().max();
    }
  }
}

TEST_F(Embedder, FoldedNetworkGivesTheSameWithinRounding) {
  ResidentSet set(make_set(3), 112, 2, /*keep=*/true);
  const auto tiny = model::make_backbone({.name = "tiny", .embedding_dim = 8});
  EmbedderOptions options{.batch_per_rank = 2};
  options.network.fold = false;
  const auto plain = embed_set(set, *tiny, *communicator, options).sums;
  options.network.fold = true;
  const auto folded = embed_set(set, *tiny, *communicator, options).sums;

  EXPECT_FALSE(torch::equal(folded, plain));  // else the option would do nothing
  EXPECT_LT((folded - plain).abs().max().item<float>(), 1e-5 * plain.abs().max().item<float>());
  EXPECT_TRUE(tiny->is_training());
}

TEST_F(Embedder, MoreRanksThanImages) {
  const auto set = make_set(1);

  EXPECT_TRUE(torch::equal(embed(set, 1), slow_embeddings(set, *backbone)));
  EXPECT_EQ(embed(make_set(0), 4).sizes(), (at::IntArrayRef{0, 6}));
}

TEST_F(Embedder, MirroringMatters) {
  const auto set = make_set(2);
  const torch::NoGradGuard no_grad;
  backbone->eval();
  const auto straight = backbone->forward(slow_faces(set, 0, 4, false));
  const auto mirrored = backbone->forward(slow_faces(set, 0, 4, true));

  EXPECT_GT((straight - mirrored).abs().max().item<float>(),
            1e-2);  // else the tests above could not see a missing mirror image
}

TEST_F(Embedder, GivesEveryModuleItsModeBack) {
  backbone->train();
  backbone->norm->eval();
  const auto mean = backbone->norm->running_mean.clone();

  (void)embed(make_set(2), 2);

  EXPECT_TRUE(backbone->is_training());
  EXPECT_TRUE(backbone->conv->is_training());
  EXPECT_TRUE(backbone->dropout->is_training());
  EXPECT_FALSE(backbone->norm->is_training());
  EXPECT_TRUE(torch::equal(backbone->norm->running_mean, mean));
  EXPECT_TRUE(torch::GradMode::is_enabled());
}

TEST_F(Embedder, CorruptImageEndsAllRanksAndNamesIt) {
  auto set = make_set(6);
  set.images[7].resize(20);
  std::optional<std::string> message;
  try {
    (void)embed(set, 1);
  } catch (const data::DataError& e) {
    message = e.what();
  }

  ASSERT_TRUE(message.has_value());
  EXPECT_THAT(*message, ::testing::HasSubstr("verification set small"));
  const auto rows = data::rows_of_rank(12, communicator->rank(), communicator->world_size(),
                                       model::embedding_block(at::kCPU));
  if (rows.begin <= 7 && 7 < rows.end) {
    EXPECT_THAT(*message, ::testing::HasSubstr("image 7 (pair 3)"));
  } else {
    EXPECT_THAT(*message, ::testing::HasSubstr("unreadable image"));
  }
  EXPECT_TRUE(backbone->is_training());
  set.images[7] = set.images[6];
  EXPECT_EQ(embed(set, 1).size(0), 12);  // the communicator is still whole
}

TEST_F(Embedder, KeptImagesAreDecodedOnce) {
  const Threads guard(1);  // one block a batch
  ResidentSet set(make_set(24), kSize, 2, /*keep=*/true);
  const auto first = embed_set(set, *backbone, *communicator, {4}).sums;
  const auto bytes = set.resident_bytes();
  const auto* const pixels =
      communicator->rank() == 0 ? set.images(0, 16, false).const_data_ptr<std::uint8_t>() : nullptr;

  EXPECT_TRUE(torch::equal(embed_set(set, *backbone, *communicator, {4}).sums, first));
  if (pixels != nullptr) {
    EXPECT_EQ(set.images(0, 16, false).const_data_ptr<std::uint8_t>(), pixels);
  }
  EXPECT_EQ(set.resident_bytes(), bytes);
  auto total = at::full({1}, bytes, at::kLong);
  communicator->all_reduce(total, dist::ReduceOp::kSum)->wait_host();
  EXPECT_EQ(total.item<std::int64_t>(), 48 * kSize * kSize * 3);  // every image by one rank
}

TEST_F(Embedder, RefusesBrokenSetsAndOptions) {
  auto set = make_set(2);
  EXPECT_THROW((void)embed(set, 0), c10::Error);
  EXPECT_THROW((void)embed(set, 2, -1), c10::Error);
  set.images.pop_back();
  EXPECT_THROW((void)embed(set, 2), c10::Error);
}

TEST_F(Embedder, ReportIsThatOfTheEmbeddings) {
  const auto set = make_set(20);
  const auto distances = pair_distances(slow_embeddings(set, *backbone));
  const auto want = verify(distances, set.same, 4);

  ResidentSet resident(set, kSize, 2, /*keep=*/false);
  const auto verified = verify_set(resident, *backbone, *communicator, {8, 4});
  const auto& report = verified.report;

  EXPECT_EQ(verified.distances, distances);
  EXPECT_EQ(report.name, "small");
  EXPECT_EQ(report.pairs, 20);
  EXPECT_EQ(report.verification.fold_accuracy, want.fold_accuracy);
  EXPECT_EQ(report.verification.tpr, want.tpr);
  EXPECT_EQ(report.verification.accuracy_mean, want.accuracy_mean);
  EXPECT_GE(report.auc, 0);
  EXPECT_LE(report.auc, 1);
  EXPECT_GE(report.eer, 0);
}

TEST_F(Embedder, XNormIsTheMeanLengthOfBothViewsBeforeTheyAreAdded) {
  const auto set = make_set(13);
  const auto views = slow_views(set, *backbone);
  const double want = slow_mean_norm(views);
  ASSERT_GT(std::abs(want - slow_mean_norm((views[0] + views[1]).unsqueeze(0))), 0.1);
  ASSERT_NE(slow_mean_norm(views.narrow(0, 0, 1)), slow_mean_norm(views.narrow(0, 1, 1)));

  ResidentSet resident(set, kSize, 2, /*keep=*/false);
  const auto verified = verify_set(resident, *backbone, *communicator, {8, 4});

  EXPECT_EQ(verified.report.feature_norm, want);  // the same order of additions on any ranks
  EXPECT_EQ(mean_length(views[0]), slow_mean_norm(views.narrow(0, 0, 1)));
}

}  // namespace
}  // namespace diffprob::eval
