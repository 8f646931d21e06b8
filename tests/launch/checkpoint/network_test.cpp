#include "launch/checkpoint/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <unistd.h>

#include <filesystem>

#include "model/weights/weights.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class NetworkOfAPth : public ::testing::Test {
 protected:
  NetworkOfAPth()
      : path_(fs::temp_directory_path() /
              ("diffprob_network_" + std::to_string(::getpid()) + ".pth")),
        source_(model::make_backbone({shape_.backbone, shape_.embedding_dim, 0.0, 7})) {}
  ~NetworkOfAPth() override { fs::remove(path_); }

  void expect_loads(const model::StateDict& entries) const {
    model::write_pth(path_, entries);
    const LoadedNetwork loaded = load_network(path_, shape_, at::kCPU);
    EXPECT_EQ(loaded.shape.backbone, "tiny");
    EXPECT_EQ(loaded.origin, "from " + path_);
    EXPECT_FALSE(loaded.backbone->is_training());
    const auto want = model::state_dict(*source_), found = model::state_dict(*loaded.backbone);
    ASSERT_EQ(found.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i)
      EXPECT_TRUE(at::equal(found[i].second, want[i].second)) << want[i].first;
  }

  const NetworkShape shape_{"tiny", 8};
  const std::string path_;
  const std::shared_ptr<model::Backbone> source_;
};

TEST_F(NetworkOfAPth, WithoutAHead) {
  expect_loads(model::state_dict(*source_));
}

TEST_F(NetworkOfAPth, WithAHeadWhichIsSkipped) {
  auto entries = model::state_dict(*source_);
  entries.emplace_back("head.kernel", at::zeros({8, 100}));
  expect_loads(entries);
}

TEST_F(NetworkOfAPth, AsSafetensors) {
  model::write_safetensors(path_, model::state_dict(*source_));
  const LoadedNetwork loaded = load_network(path_, shape_, at::kCPU);
  EXPECT_EQ(loaded.remark, "");
  const auto want = model::state_dict(*source_), found = model::state_dict(*loaded.backbone);
  for (std::size_t i = 0; i < want.size(); ++i)
    EXPECT_TRUE(at::equal(found[i].second, want[i].second)) << want[i].first;
}

TEST_F(NetworkOfAPth, TrainedOnBgrImagesTakesRgbImages) {
  model::write_pth(path_, model::state_dict(*source_));
  NetworkShape shape = shape_;
  shape.channel_order = model::ChannelOrder::kBgr;

  const LoadedNetwork loaded = load_network(path_, shape, at::kCPU);

  EXPECT_THAT(loaded.remark, HasSubstr(path_ + " the input channels of its first convolution are"));
  const auto want = model::state_dict(*source_), found = model::state_dict(*loaded.backbone);
  EXPECT_TRUE(at::equal(found[0].second, want[0].second.flip(1)));
  for (std::size_t i = 1; i < want.size(); ++i)
    EXPECT_TRUE(at::equal(found[i].second, want[i].second)) << want[i].first;
  torch::NoGradGuard no_grad;
  source_->eval();
  const at::Tensor faces = at::rand({2, 3, 112, 112});
  const at::Tensor expected = source_->forward(faces.flip(1));
  EXPECT_TRUE(at::allclose(loaded.backbone->forward(faces), expected, 1e-4, 1e-5));
}

TEST_F(NetworkOfAPth, OtherEntriesAreListed) {
  auto entries = model::state_dict(*source_);
  entries.emplace_back("extra", at::zeros({1}));
  model::write_pth(path_, entries);
  try {
    (void)load_network(path_, shape_, at::kCPU);
    FAIL() << "loaded";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(path_));
    EXPECT_THAT(error.what(), HasSubstr("unexpected: extra"));
  }
}

}  // namespace
}  // namespace diffprob::launch
