#include "launch/inputs/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/inputs/kept_list.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;

/// Two images each of the classes 1 and 6 of 8.
class GappedSet final : public data::Dataset {
 public:
  [[nodiscard]] std::int64_t size() const override { return 4; }
  [[nodiscard]] std::int64_t num_classes() const override { return 8; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override { return index < 2 ? 6 : 1; }
  void read(std::int64_t, std::vector<std::byte>& bytes) const override { bytes.clear(); }
  [[nodiscard]] std::string describe(std::int64_t) const override { return "a sample"; }
  [[nodiscard]] std::string fingerprint() const override { return "of the gapped set"; }
};

TEST(Labels, DenseLeavesOutClassesWithoutImages) {
  const auto set = std::make_shared<GappedSet>();
  Config config;
  EXPECT_EQ(trained_part(config, set), set);
  config.data.labels = Labels::kDense;

  const auto dense = trained_part(config, set);
  EXPECT_EQ(dense->num_classes(), 2);
  EXPECT_EQ(dense->size(), 4);
  EXPECT_EQ(dense->label(0), 1);
  EXPECT_EQ(dense->label(3), 0);
  EXPECT_NE(dense->fingerprint(), set->fingerprint());
  EXPECT_EQ(trained_part(config, dense), dense);
}

TEST(Labels, OneWarningSaysCountFirstExampleMemoryAndWhatToDo) {
  Config config;
  config.model.network.embedding_dim = 1 << 17;  // centre and momentum of a class: 1 MiB
  const std::string warning = empty_class_warning(config, GappedSet(), "faces");
  EXPECT_THAT(warning, HasSubstr("faces: 6 of 8 classes have no images, the first is class 0"));
  EXPECT_THAT(warning, HasSubstr("6.0 MiB"));
  EXPECT_THAT(warning, HasSubstr("--data.labels=dense"));

  config.data.labels = Labels::kDense;
  const auto dense = trained_part(config, std::make_shared<GappedSet>());
  EXPECT_EQ(empty_class_warning(config, *dense, "faces"), "");
}

TEST(Labels, OneIdentityIsRefusedForTraining) {
  const auto set = std::make_shared<GappedSet>();
  EXPECT_NO_THROW(check_identities(*set, "train"));
  const data::Subset one(set, {0, 1}, {});
  EXPECT_THROW(check_identities(one, "train"), ConfigError);
}

TEST(Labels, AKeptPartWithDenseLabelsCountsInTheWholeSet) {
  const auto set = std::make_shared<GappedSet>();
  const auto kept = std::make_shared<data::Subset>(set, std::vector<std::int64_t>{1, 3},
                                                   std::vector<std::int64_t>{});
  Config config;
  config.data.labels = Labels::kDense;
  const auto dense = trained_part(config, kept);
  const auto whole = whole_numbers(*dense);
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->fingerprint, "of the gapped set");
  EXPECT_EQ(whole->num_samples, 4);
  EXPECT_THAT(whole->indices, ::testing::ElementsAre(1, 3));
  EXPECT_THAT(whole->label_map, ::testing::ElementsAre(-1, 0, -1, -1, -1, -1, 1, -1));
}

}  // namespace
}  // namespace diffprob::launch
