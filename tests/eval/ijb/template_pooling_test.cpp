#include "eval/ijb/template_pooling.h"

#include <cmath>
#include <limits>
#include <random>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "eval/ijb/pair_scores.h"
#include "tests/eval/ijb/slow_pooling.h"

namespace diffprob::eval {
namespace {

constexpr std::size_t kDim = 11;

struct Case {
  IjbImages images;
  std::vector<std::vector<float>> features;  // [N][2 * kDim]
};

/// Media ids that several templates share, single images, a template without any usable image, rows
/// in no order.
Case random_case(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> unit(-1, 1);
  Case c;
  for (std::size_t row = 0; row < count; ++row) {
    c.images.add_name(std::to_string(row) + ".jpg");
    c.images.template_id.push_back(static_cast<std::int64_t>(random() % 9) * 7 - 5);
    c.images.media_id.push_back(static_cast<std::int64_t>(random() % 6));
    c.images.landmarks.push_back({});
    c.images.detector_score.push_back(0.5F + 0.5F * unit(random));
    std::vector<float> f(2 * kDim);
    for (float& v : f) v = unit(random);
    const bool missing = random() % 10 == 0 || c.images.template_id.back() == 2;
    c.features.push_back(missing ? std::vector<float>() : f);
  }
  return c;
}

std::vector<PoolingVariant> all_variants() {
  std::vector<PoolingVariant> variants;
  for (const bool f : {false, true}) {
    for (const bool n : {false, true}) {
      for (const bool d : {false, true}) variants.push_back({f, n, d});
    }
  }
  return variants;
}

TEST(TemplatePooling, AgreesWithTheProtocolWordByWordForAnyNumberOfRanks) {
  const auto variants = all_variants();
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Case c = random_case(seed, 5 + 20 * seed);
    const TemplateOrder order = order_templates(c.images);
    std::vector<std::vector<double>> of_one_rank;
    for (const std::int64_t ranks : {1, 2, 3, 50}) {
      std::vector<std::vector<double>> all(variants.size());
      std::int64_t next = 0;
      for (std::int64_t rank = 0; rank < ranks; ++rank) {
        const auto range = templates_of_rank(order, rank, ranks);
        ASSERT_EQ(range.first, next);
        next = range.second;
        TemplatePooler pooler(order, c.images, variants, kDim, 2, range);
        for (auto position = order.begin[static_cast<std::size_t>(range.first)];
             position < order.begin[static_cast<std::size_t>(range.second)]; ++position)
          pooler.add(
              c.features[static_cast<std::size_t>(order.rows[static_cast<std::size_t>(position)])]);
        const auto part = pooler.finish();
        for (std::size_t v = 0; v < variants.size(); ++v)
          all[v].insert(all[v].end(), part[v].begin(), part[v].end());
      }
      ASSERT_EQ(next, order.templates());
      if (ranks == 1) of_one_rank = all;
      EXPECT_EQ(all, of_one_rank) << ranks;
    }
    for (std::size_t v = 0; v < variants.size(); ++v) {
      const auto slow = tests::slow_pooling(c.images, c.features, kDim, variants[v]);
      ASSERT_EQ(slow.size(), order.ids.size());
      std::size_t at = 0;
      for (const auto& [id, feature] : slow) {
        ASSERT_EQ(id, order.ids[at / kDim]);
        for (const double value : feature)
          ASSERT_NEAR(of_one_rank[v][at++], value, 1e-14)
              << variants[v].name() << " template " << id;
      }
    }
  }
}

TEST(TemplatePooling, NamesOfVariants) {
  for (const auto& variant : all_variants())
    EXPECT_EQ(parse_pooling_variant(variant.name()).name(), variant.name());
  EXPECT_FALSE(parse_pooling_variant("F1N0D1").norm_score);  // N0: features are L2-normalised first
  for (const char* bad : {"", "F1N1D2", "N1D1F1", "F1N1D1 ", "f1n1d1"})
    EXPECT_THROW((void)parse_pooling_variant(bad), c10::Error) << bad;
}

TEST(TemplatePooling, RefusesWhatCannotBe) {
  const Case c = random_case(3, 8);
  const TemplateOrder order = order_templates(c.images);
  const std::pair<std::int64_t, std::int64_t> all{0, order.templates()};
  EXPECT_THROW(TemplatePooler(order, c.images, {{true, true, true}}, kDim, 1, all), c10::Error);

  TemplatePooler pooler(order, c.images, {{false, true, true}}, kDim, 1, all);
  EXPECT_THROW(pooler.add(std::vector<float>(kDim - 1)), c10::Error);
  std::vector<float> broken(kDim, 1);
  broken[4] = std::numeric_limits<float>::quiet_NaN();
  try {
    pooler.add(broken);
    FAIL() << "took a feature that is not finite";
  } catch (const c10::Error& e) {
    EXPECT_NE(std::string(e.what()).find(".jpg (row "), std::string::npos) << e.what();
  }
  EXPECT_THROW((void)pooler.finish(), c10::Error);
}

TEST(PairScores, AreDotProductsWithTheSameBitsInAnyCompany) {
  std::mt19937_64 random(8);
  std::uniform_real_distribution<double> unit(-1, 1);
  for (const std::int64_t dim : {1, 7, 8, 64, 515}) {
    const std::int64_t templates = 150;
    std::vector<double> values(static_cast<std::size_t>(templates * dim));
    for (double& v : values) v = unit(random);
    TemplatePairs pairs;
    for (int i = 0; i < 3000; ++i) {
      pairs.first.push_back(static_cast<std::int32_t>(random() % 150));
      pairs.second.push_back(static_cast<std::int32_t>(random() % 150));
      pairs.same.push_back(0);
    }

    const auto scores = pair_scores(values, dim, pairs);

    for (std::size_t i = 0; i < scores.size(); ++i) {
      double sum = 0;
      for (std::int64_t k = 0; k < dim; ++k)
        sum += values[static_cast<std::size_t>(pairs.first[i] * dim + k)] *
               values[static_cast<std::size_t>(pairs.second[i] * dim + k)];
      ASSERT_NEAR(scores[i], sum, 1e-12);
      if (i >= 50) continue;
      const TemplatePairs alone{{pairs.first[i]}, {pairs.second[i]}, {0}};
      ASSERT_EQ(pair_scores(values, dim, alone)[0], scores[i])
          << "pair " << i << " alone has other bits";
    }
  }
  EXPECT_TRUE(pair_scores(std::vector<double>{1, 2}, 2, {}).empty());
  EXPECT_THROW((void)pair_scores(std::vector<double>{1, 2}, 2, {{0}, {1}, {0}}), c10::Error);
  EXPECT_THROW((void)pair_scores(std::vector<double>{1, 2, 3}, 2, {}), c10::Error);
}

}  // namespace
}  // namespace diffprob::eval
