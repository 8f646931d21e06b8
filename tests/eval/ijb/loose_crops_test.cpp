// Features of loose crops: what a plain decode, align and forward gives, for any number of ranks;
// bad images are listed, not fatal.
#include "eval/ijb/loose_crops.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>

#include "data/files/input_file.h"
#include "eval/ijb/align.h"
#include "model/input/normalize.h"
#include "tests/data/test_files.h"
#include "tests/support/mpi_world.h"

namespace diffprob::eval {
namespace {

using data::test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kDim = 6;

class SmallBackbone : public model::Backbone {
 public:
  SmallBackbone() {
    linear = register_module("linear", torch::nn::Linear(3 * 14 * 14, kDim));
    const torch::NoGradGuard no_grad;
    for (auto& p : parameters())
      p.copy_(torch::arange(p.numel(), at::kFloat).mul(0.7).sin().mul(0.1).view(p.sizes()));
  }
  torch::Tensor forward(torch::Tensor faces) override {
    return linear(at::avg_pool2d(faces, 8).contiguous().flatten(1));
  }
  std::int64_t embedding_dim() const override { return kDim; }
  torch::nn::Linear linear{nullptr};
};

/// Images 1.jpg .. 9.jpg in templates of three; 4.jpg is missing, 6.jpg is no image, the landmarks
/// of 8.jpg coincide.
class LooseCropsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder / "meta");
    std::filesystem::create_directories(folder / "loose_crop");
    std::ofstream media(folder / "meta/ijbb_face_tid_mid.txt"),
        points(folder / "meta/ijbb_name_5pts_score.txt");
    for (int i = 1; i <= 9; ++i) {
      const std::string name = std::to_string(i) + ".jpg";
      media << name << " " << (i - 1) / 3 << " " << i % 2 << "\n";
      points << name;
      for (int k = 0; k < 10; ++k)
        points << " "
               << (i == 8 ? 20.0F
                          : face_template()[static_cast<std::size_t>(k)] *
                                (1 + 0.05F * static_cast<float>(i)));
      points << " 0.9\n";
      if (i != 4) write_picture(name, i);
    }
    std::ofstream(folder / "loose_crop/6.jpg") << "this is no picture";
    std::ofstream(folder / "meta/ijbb_template_pair_label.txt") << "0 1 1\n1 2 0\n0 2 0\n";
  }
  void write_picture(const std::string& name, int i) const {
    const int width = 150 + i, height = 140 - i;
    std::vector<std::uint8_t> rgb;
    for (int at = 0; at < width * height * 3; ++at)
      rgb.push_back(
          static_cast<std::uint8_t>(127 + 100 * std::sin(0.03 * i * (at / 3 % width)) *
                                              std::cos(0.05 * (at / 3 / width) + at % 3)));
    const auto jpeg = data::encode_jpeg(rgb, width, height, 95);
    std::ofstream(folder / ("loose_crop/" + name), std::ios::binary)
        .write(reinterpret_cast<const char*>(jpeg.data()),
               static_cast<std::streamsize>(jpeg.size()));
  }

  TemporaryFolder folder;
  dist::HostCollectives control;
  SmallBackbone backbone;
};

TEST_F(LooseCropsTest, FeaturesAreThoseOfTheAlignedImages) {
  const auto protocol = read_ijb_protocol(folder.path(), control);
  const std::vector<std::int64_t> rows = {8, 0, 3, 4};
  for (const int threads : {1, 3}) {
    LooseCrops crops(protocol, threads);
    const auto features = network_features(crops, backbone, at::kCPU);
    ASSERT_EQ(features.dim, kDim);
    ASSERT_EQ(features.views, 2);
    std::vector<float> values(rows.size() * 2 * kDim);
    std::vector<std::uint8_t> there(rows.size());

    features.read(rows, values, there);

    EXPECT_THAT(there, ElementsAre(1, 1, 0, 1));
    const torch::NoGradGuard no_grad;
    for (const std::size_t i : {0, 1, 3}) {
      data::ImageDecoder decoder;
      data::DecodedImage picture;
      std::vector<std::byte> bytes;
      data::read_whole_file(folder / ("loose_crop/" + std::string(protocol.images.name(rows[i]))),
                            1 << 20, bytes);
      decoder.decode(bytes, picture);
      auto face = torch::empty({1, 112, 112, 3}, at::kByte);
      ASSERT_TRUE(align_face(picture.rgb, picture.width, picture.height,
                             protocol.images.landmarks[static_cast<std::size_t>(rows[i])],
                             {face.mutable_data_ptr<std::uint8_t>(), 112 * 112 * 3}));
      const auto input = model::normalize_faces(face, at::kCPU);
      const auto want =
          at::cat({backbone.forward(input), backbone.forward(input.flip(3))}).flatten();
      for (std::int64_t k = 0; k < 2 * kDim; ++k)
        EXPECT_NEAR(values[i * 2 * kDim + static_cast<std::size_t>(k)], want[k].item<float>(), 1e-5)
            << i << " " << k;
    }
  }
}

TEST_F(LooseCropsTest, BadImagesAreCountedListedAndLeftOut) {
  const auto protocol = read_ijb_protocol(folder.path(), control);
  LooseCrops crops(protocol, 2);
  IjbOptions options;
  options.variants = {{true, true, true}, {false, false, false}};
  options.batch = 2;

  const auto result =
      evaluate_ijb(protocol, network_features(crops, backbone, at::kCPU), options, control);

  EXPECT_THAT(result.missing_images, ElementsAre(3, 5, 7));
  EXPECT_EQ(result.empty_templates, 0);
  EXPECT_EQ(result.pairs, 3);
  EXPECT_EQ(result.variants[0].genuine, 1);
  EXPECT_EQ(result.variants[1].impostors, 2);
  if (control.world_size() > 1) return;
  ASSERT_EQ(crops.problems().size(), 3U);
  std::string all;
  for (const auto& problem : crops.problems()) all += problem + "\n";
  for (const char* said : {"4.jpg", "cannot be opened", "6.jpg", "not an image", "8.jpg",
                           "not the five points of a face"})
    EXPECT_THAT(all, HasSubstr(said));
}

}  // namespace
}  // namespace diffprob::eval
