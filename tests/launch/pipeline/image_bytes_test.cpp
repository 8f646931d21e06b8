#include "launch/pipeline/image_bytes.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace diffprob::launch {
namespace {

constexpr std::int64_t kNone = -1;
constexpr std::int64_t kBroken = -2;

/// Images of so many bytes each; kNone: the set does not know, kBroken: it throws.
class Sizes final : public data::Dataset {
 public:
  explicit Sizes(std::vector<std::int64_t> sizes) : sizes_(std::move(sizes)) {}
  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(sizes_.size());
  }
  [[nodiscard]] std::int64_t num_classes() const override { return 1; }
  [[nodiscard]] std::int64_t label(std::int64_t) const override { return 0; }
  void read(std::int64_t, std::vector<std::byte>&) const override { FAIL() << "was read"; }
  [[nodiscard]] std::optional<std::int64_t> encoded_bytes(std::int64_t index) const override {
    const std::int64_t bytes = sizes_.at(static_cast<std::size_t>(index));
    if (bytes == kBroken) throw std::runtime_error("disk on fire");
    return bytes == kNone ? std::nullopt : std::optional(bytes);
  }
  [[nodiscard]] std::string describe(std::int64_t) const override { return {}; }
  [[nodiscard]] std::string fingerprint() const override { return "sizes"; }

 private:
  std::vector<std::int64_t> sizes_;
};

prune::IndexSet keeping(std::vector<std::int64_t> kept, std::int64_t num_samples) {
  prune::IndexSet set;
  set.kept = std::move(kept);
  set.num_samples = num_samples;
  return set;
}

TEST(ImageBytes, AreSummedOverRanks) {
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> kept;
  ImageBytes expected;
  for (std::int64_t i = 0; i < 101; ++i) {
    sizes.push_back(1000 + i * i);
    expected.all += sizes.back();
    if (i % 3 != 0) continue;
    kept.push_back(i);
    expected.kept += sizes.back();
  }
  dist::HostCollectives control;

  const auto bytes = image_bytes(Sizes(sizes), keeping(kept, 101), control);

  ASSERT_TRUE(bytes.has_value());
  EXPECT_EQ(bytes->all, expected.all);
  EXPECT_EQ(bytes->kept, expected.kept);
}

TEST(ImageBytes, FewerSamplesThanRanks) {
  dist::HostCollectives control;

  const auto bytes = image_bytes(Sizes({7}), keeping({}, 1), control);

  ASSERT_TRUE(bytes.has_value());
  EXPECT_EQ(bytes->all, 7);
  EXPECT_EQ(bytes->kept, 0);
}

TEST(ImageBytes, AreUnknownOnAllRanksWhereOneDoesNotKnow) {
  dist::HostCollectives control;
  for (const std::int64_t odd : {kNone, kBroken}) {
    EXPECT_FALSE(image_bytes(Sizes({5, 5, 5, odd}), keeping({0}, 4), control).has_value());
    EXPECT_FALSE(image_bytes(Sizes({odd, 5, 5, 5}), keeping({0}, 4), control).has_value());
  }
}

}  // namespace
}  // namespace diffprob::launch
