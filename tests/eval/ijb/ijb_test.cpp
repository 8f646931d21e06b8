// The IJB protocol on 1, 2 and 3 ranks: the golden run of the reference script, 1:N against plain
// loops, and that nothing depends on W.
#include "eval/ijb/ijb.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "data/files/sha256.h"
#include "eval/ijb/pair_scores.h"
#include "tests/support/golden.h"
#include "tests/support/mpi_world.h"

namespace diffprob::eval {
namespace {

/// Features as the golden README makes them: h(t, i) = 2 u(seed, t, i) - 1.
class GoldenFeatures {
 public:
  explicit GoldenFeatures(const tests::Golden& golden)
      : seed_(static_cast<std::uint64_t>(golden.number("/", "seed"))),
        noise_(golden.number("/", "noise")),
        dim_(golden.shape("feature_first_rows").at(1) / 2),
        subject_(golden.integers("subject_of_template")),
        template_(golden.integers("template_index_of_image")) {}

  [[nodiscard]] std::int64_t dim() const { return dim_; }
  [[nodiscard]] std::int64_t images() const { return static_cast<std::int64_t>(template_.size()); }
  [[nodiscard]] std::vector<float> row(std::int64_t image) const {
    const auto subject =
        subject_[static_cast<std::size_t>(template_[static_cast<std::size_t>(image)])];
    std::vector<float> f(2 * dim_);
    for (std::int64_t i = 0; i < dim_; ++i) {
      const double base = h(20, subject * dim_ + i);
      f[static_cast<std::size_t>(i)] = static_cast<float>(base + noise_ * h(21, image * dim_ + i));
      f[static_cast<std::size_t>(dim_ + i)] =
          static_cast<float>(base + noise_ * h(22, image * dim_ + i));
    }
    return f;
  }
  [[nodiscard]] ImageFeatures as_features() const {
    return {dim_, 2,
            [this](std::span<const std::int64_t> rows, std::span<float> out,
                   std::span<std::uint8_t> there) {
              for (std::size_t i = 0; i < rows.size(); ++i) {
                const auto f = row(rows[i]);
                std::copy(f.begin(), f.end(),
                          out.begin() + static_cast<std::ptrdiff_t>(i * f.size()));
                there[i] = 1;
              }
            }};
  }

 private:
  [[nodiscard]] double h(std::uint64_t stream, std::int64_t i) const {
    return 2 * tests::hash_uniform(seed_, stream, static_cast<std::uint64_t>(i)) - 1;
  }
  std::uint64_t seed_;
  double noise_;
  std::int64_t dim_;
  std::vector<std::int64_t> subject_;
  std::vector<std::int64_t> template_;
};

/// Every number of a result, bit by bit.
std::string digest(const IjbResult& result) {
  std::string bytes;
  const auto add = [&](double v) { bytes.append(reinterpret_cast<const char*>(&v), sizeof(v)); };
  for (const auto row : result.missing_images) add(static_cast<double>(row));
  for (const auto& v : result.variants) {
    for (const double n :
         {static_cast<double>(v.genuine), static_cast<double>(v.impostors), v.auc, v.eer})
      add(n);
    for (const auto& t : v.tar) {
      for (const double n : {t.tar, t.tar_interpolated, t.tar_nearest, t.far_nearest, t.threshold,
                             t.meaningful ? 1.0 : 0.0})
        add(n);
    }
    for (const auto& point : v.curve) add(point.far), add(point.tar), add(point.threshold);
    for (const auto& r : v.identification) {
      for (const double n : {r.rank1, r.rank5, r.rank10, static_cast<double>(r.mated_probes),
                             static_cast<double>(r.other_probes)})
        add(n);
      for (const auto& t : r.tpir) add(t.open_set), add(t.closed_set);
    }
  }
  return data::sha256_hex(bytes);
}

/// The same on all ranks of this run, and the same as the runs on other numbers of ranks: the first
/// of them leaves its digest in a file.
void expect_the_same_everywhere(const IjbResult& result, const std::string& name,
                                dist::HostCollectives& control) {
  const std::string own = digest(result);
  EXPECT_EQ(control.broadcast(own, 0), own) << "rank 0 has another result";
  const char* folder = std::getenv("DIFFPROB_BINARY_DIR");
  if (folder == nullptr || control.rank() != 0) return;
  const std::string path = std::string(folder) + "/tests/eval/ijb_digest_" + name + ".txt";
  if (control.world_size() == 1) {
    std::ofstream(path) << own;
  } else if (std::ifstream file(path); file) {
    std::string of_one_rank;
    file >> of_one_rank;
    EXPECT_EQ(own, of_one_rank) << "one rank had another result";
  }
}

class Ijb : public ::testing::Test {
 protected:
  dist::HostCollectives control;
};

/// Groups of the file that are runs of the reference script: F1N1D1 and so on. Attributes of the
/// switches must say the same.
std::vector<std::string> golden_variants(const tests::Golden& golden) {
  std::vector<std::string> groups;
  for (const auto& name : golden.names("/")) {
    if (name.size() != 6 || name[0] != 'F') continue;
    const PoolingVariant variant = parse_pooling_variant(name);
    EXPECT_EQ(variant.flip, golden.number_or(name, "use_flip_test", variant.flip) != 0) << name;
    EXPECT_EQ(variant.norm_score, golden.number_or(name, "use_norm_score", variant.norm_score) != 0)
        << name;
    EXPECT_EQ(variant.detector_score,
              golden.number_or(name, "use_detector_score", variant.detector_score) != 0)
        << name;
    groups.push_back(name);
  }
  return groups;
}

TEST_F(Ijb, Golden) {
  const tests::Golden golden("ijbc.h5");
  const GoldenFeatures features(golden);
  const auto protocol = read_ijb_protocol(tests::golden_dir() + "/ijbc_meta", control);
  const auto first_rows = golden.floats("feature_first_rows");
  const auto width = static_cast<std::size_t>(2 * features.dim());
  ASSERT_FALSE(first_rows.empty());
  for (std::size_t i = 0; i < first_rows.size(); ++i) {
    ASSERT_EQ(features.row(static_cast<std::int64_t>(i / width))[i % width], first_rows[i]) << i;
  }
  IjbOptions options;
  options.fars = golden.doubles("fpr_points");
  ASSERT_FALSE(options.fars.empty());
  const auto groups = golden_variants(golden);
  ASSERT_FALSE(groups.empty()) << "ijbc.h5 has no run of the reference script";
  for (const auto& group : groups) options.variants.push_back(parse_pooling_variant(group));

  const IjbResult result = evaluate_ijb(protocol, features.as_features(), options, control);

  EXPECT_EQ(protocol.images.size(), features.images());
  EXPECT_EQ(result.templates, golden.shape("subject_of_template").at(0));
  EXPECT_GT(result.pairs, 0);
  EXPECT_EQ(static_cast<double>(result.pairs),
            golden.number_or("/", "pairs", static_cast<double>(result.pairs)));
  ASSERT_EQ(result.variants.size(), groups.size());
  EXPECT_TRUE(result.missing_images.empty());
  for (std::size_t v = 0; v < groups.size(); ++v) {
    SCOPED_TRACE(groups[v]);
    const IjbVariantResult& got = result.variants[v];
    ASSERT_EQ(got.variant.name(), groups[v]);
    const double tolerance = 2.0 / static_cast<double>(got.genuine) + 1e-12;
    const auto nearest = golden.doubles(groups[v] + "/tpr_nearest_fpr");
    const auto nearest_fpr = golden.doubles(groups[v] + "/fpr_nearest");
    const auto not_above = golden.doubles(groups[v] + "/tpr_at_fpr_not_above");
    ASSERT_EQ(nearest.size(), options.fars.size());
    ASSERT_EQ(nearest_fpr.size(), options.fars.size());
    ASSERT_EQ(not_above.size(), options.fars.size());
    for (std::size_t i = 0; i < options.fars.size(); ++i) {
      EXPECT_NEAR(got.tar[i].tar_nearest, nearest[i], tolerance) << options.fars[i];
      EXPECT_NEAR(got.tar[i].far_nearest, nearest_fpr[i], 2.0 / static_cast<double>(got.impostors))
          << options.fars[i];
      EXPECT_NEAR(got.tar[i].tar, not_above[i], tolerance) << options.fars[i];
      EXPECT_EQ(got.tar[i].meaningful, options.fars[i] * static_cast<double>(got.impostors) >= 1);
    }
    EXPECT_NEAR(got.auc, golden.number(groups[v], "auc"), 1e-5);
    // Scores as near as rounding may change places: one pair of the rarer kind.
    EXPECT_NEAR(got.eer, golden.number(groups[v], "eer"),
                1.0 / static_cast<double>(std::min(got.genuine, got.impostors)));
  }
  expect_the_same_everywhere(result, "golden", control);
}

TEST_F(Ijb, GoldenTemplatesAndScores) {
  const tests::Golden golden("ijbc.h5");
  const GoldenFeatures features(golden);
  const IjbFiles files = find_ijb_files(tests::golden_dir() + "/ijbc_meta");
  const IjbImages images = read_ijb_images(files);
  const TemplateOrder order = order_templates(images);
  const TemplatePairs pairs = read_template_pairs(files.template_pair_label, order.ids);
  int compared = 0;
  for (const auto& group : golden_variants(golden)) {
    if (golden.has(group + "/unique_template")) {
      EXPECT_EQ(order.ids, golden.integers(group + "/unique_template"));
    }
    if (!golden.has(group + "/score")) {
      tests::print_skipped(group + "/score", "the set does not have it");
      continue;
    }
    SCOPED_TRACE(group);
    ++compared;
    TemplatePooler pooler(order, images, {parse_pooling_variant(group)}, features.dim(), 2,
                          {0, order.templates()});
    for (const auto row : order.rows) pooler.add(features.row(row));
    const auto templates = pooler.finish()[0];

    const auto scores = pair_scores(templates, features.dim(), pairs);

    const auto want = golden.doubles(group + "/score");
    ASSERT_FALSE(want.empty());
    ASSERT_LE(want.size(), scores.size());
    for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(scores[i], want[i], 2e-6) << i;
    if (!golden.has(group + "/template_feature_first")) continue;
    const auto first = golden.doubles(group + "/template_feature_first");
    ASSERT_LE(first.size(), templates.size());
    for (std::size_t i = 0; i < first.size(); ++i) ASSERT_NEAR(templates[i], first[i], 2e-6) << i;
  }
  if (compared == 0) GTEST_SKIP() << "ijbc.h5 has no scores";
}

/// A small protocol in memory, images of several ranks' worth, some missing.
struct SmallCase {
  IjbProtocol protocol;
  std::vector<std::vector<float>> rows;
};

constexpr std::int64_t kSmallDim = 13;

SmallCase small_case(std::uint64_t seed, const dist::HostCollectives& control) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  SmallCase c;
  IjbProtocol& p = c.protocol;
  p.files.name = "small";
  constexpr std::int64_t kTemplates = 60, kSubjects = 25;
  std::vector<std::vector<float>> centres(kSubjects, std::vector<float>(kSmallDim));
  for (auto& centre : centres) {
    for (float& v : centre) v = normal(random);
  }
  for (int i = 0; i < 400; ++i) {
    const auto id = i < kTemplates ? i : static_cast<std::int64_t>(random() % kTemplates);
    p.images.add_name(std::to_string(i));
    p.images.template_id.push_back(id);
    p.images.media_id.push_back(static_cast<std::int64_t>(random() % 4));
    p.images.landmarks.push_back({});
    p.images.detector_score.push_back(0.9F);
    std::vector<float> f(2 * kSmallDim);
    for (std::size_t k = 0; k < f.size(); ++k)
      f[k] =
          centres[static_cast<std::size_t>(id % kSubjects)][k % kSmallDim] + 1.5F * normal(random);
    if (i % 37 == 0 || id == 11) f.clear();
    c.rows.push_back(f);
  }
  p.templates = order_templates(p.images);
  for (std::int32_t i = 0; i < 900; ++i) {
    const auto a = static_cast<std::int32_t>(random() % kTemplates),
               b = static_cast<std::int32_t>(random() % kTemplates);
    if (i % control.world_size() != control.rank()) continue;  // any split will do
    p.pairs.first.push_back(a);
    p.pairs.second.push_back(b);
    p.pairs.same.push_back(a % kSubjects == b % kSubjects ? 1 : 0);
  }
  p.galleries = {{"first", {}, {}}, {"second", {}, {}}};
  p.probes = SubjectList{"probes", {}, {}};
  for (std::int32_t t = 0; t < kTemplates; ++t) {
    const bool gallery = t < 20;
    SubjectList& list = gallery ? p.galleries[t % 3 == 0 ? 1 : 0] : *p.probes;
    list.templates.push_back(t);
    list.subject.push_back(t % kSubjects);
  }
  return c;
}

ImageFeatures features_of(const SmallCase& c) {
  return {kSmallDim, 2,
          [&c](std::span<const std::int64_t> rows, std::span<float> out,
               std::span<std::uint8_t> there) {
            for (std::size_t i = 0; i < rows.size(); ++i) {
              const auto& f = c.rows[static_cast<std::size_t>(rows[i])];
              there[i] = f.empty() ? 0 : 1;
              std::copy(f.begin(), f.end(),
                        out.begin() + static_cast<std::ptrdiff_t>(i * 2 * kSmallDim));
            }
          }};
}

TEST_F(Ijb, MissingImagesAreListedAndResultsDoNotDependOnTheNumberOfRanks) {
  const SmallCase c = small_case(5, control);
  IjbOptions options;
  options.variants = {{true, true, true}, {false, false, false}};
  options.fars = {0, 1e-3, 1e-2, 0.1, 1};
  std::string first;
  for (const std::int64_t batch : {1, 7, 64, 1000}) {
    options.batch = batch;
    const IjbResult result = evaluate_ijb(c.protocol, features_of(c), options, control);

    std::vector<std::int64_t> missing;
    for (std::size_t i = 0; i < c.rows.size(); ++i) {
      if (c.rows[i].empty()) missing.push_back(static_cast<std::int64_t>(i));
    }
    EXPECT_EQ(result.missing_images, missing);
    EXPECT_EQ(result.empty_templates, 1);
    EXPECT_EQ(result.pairs, 900);
    EXPECT_EQ(result.variants[0].genuine + result.variants[0].impostors, 900);
    expect_the_same_everywhere(result, "small", control);
  }
}

TEST_F(Ijb, ScoresThatAreHandedOverGiveTheCurve) {
  const SmallCase c = small_case(5, control);
  std::map<std::string, std::vector<double>> taken;
  IjbOptions options;
  options.variants = {{true, true, true}, {false, false, false}};
  options.curve_points = 7;
  options.take_scores = [&](const PoolingVariant& variant, std::span<const double> scores) {
    taken[variant.name()].assign(scores.begin(), scores.end());
  };

  const IjbResult result = evaluate_ijb(c.protocol, features_of(c), options, control);

  ASSERT_EQ(result.variants.size(), 2U);
  for (const auto& variant : result.variants) {
    const auto& scores = taken.at(variant.variant.name());
    ASSERT_EQ(scores.size(), c.protocol.pairs.same.size());
    const auto all = control.all_gather_v(std::span<const double>(scores));
    const auto same = control.all_gather_v(std::span<const std::uint8_t>(c.protocol.pairs.same));
    ASSERT_GT(variant.curve.size(), 10U);
    for (const RocPoint& point : variant.curve) {
      std::int64_t genuine = 0, impostors = 0;
      for (std::size_t i = 0; i < all.size(); ++i)
        if (all[i] >= point.threshold) ++(same[i] != 0 ? genuine : impostors);
      EXPECT_DOUBLE_EQ(point.tar,
                       static_cast<double>(genuine) / static_cast<double>(variant.genuine));
      EXPECT_DOUBLE_EQ(point.far,
                       static_cast<double>(impostors) / static_cast<double>(variant.impostors));
    }
  }
}

TEST_F(Ijb, IdentificationAgreesWithPlainLoops) {
  const SmallCase c = small_case(6, control);
  const auto templates = static_cast<std::size_t>(c.protocol.templates.templates());
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  std::vector<double> values(templates * kSmallDim);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::mt19937_64 of_subject(i / kSmallDim % 25 * 100 + i % kSmallDim);
    values[i] = std::normal_distribution<double>()(of_subject) + 1.2 * normal(random);
  }
  const auto score = [&](std::int32_t a, std::int32_t b) {
    double sum = 0;
    for (std::int64_t k = 0; k < kSmallDim; ++k)
      sum += values[static_cast<std::size_t>(a * kSmallDim + k)] *
             values[static_cast<std::size_t>(b * kSmallDim + k)];
    return sum;
  };

  const auto results =
      identify(values, kSmallDim, c.protocol.galleries, *c.protocol.probes, control);

  ASSERT_EQ(results.size(), 3U);
  auto lists = c.protocol.galleries;
  lists.push_back({"all", lists[0].templates, lists[0].subject});
  lists[2].templates.insert(lists[2].templates.end(), lists[1].templates.begin(),
                            lists[1].templates.end());
  lists[2].subject.insert(lists[2].subject.end(), lists[1].subject.begin(), lists[1].subject.end());
  for (std::size_t g = 0; g < 3; ++g) {
    SCOPED_TRACE(lists[g].name);
    const auto& gallery = lists[g];
    const auto& probes = *c.protocol.probes;
    std::vector<double> mates, strangers, others;
    std::int64_t first = 0, in_five = 0;
    for (std::size_t p = 0; p < probes.templates.size(); ++p) {
      double mate = -1e9, top = -1e9;
      std::vector<double> wrong;
      for (std::size_t i = 0; i < gallery.templates.size(); ++i) {
        const double s = score(probes.templates[p], gallery.templates[i]);
        top = std::max(top, s);
        if (gallery.subject[i] == probes.subject[p])
          mate = std::max(mate, s);
        else
          wrong.push_back(s);
      }
      if (mate == -1e9) {
        strangers.push_back(top);
        continue;
      }
      mates.push_back(mate);
      others.insert(others.end(), wrong.begin(), wrong.end());
      const auto better =
          std::count_if(wrong.begin(), wrong.end(), [&](double s) { return s > mate; });
      first += better < 1 ? 1 : 0;
      in_five += better < 5 ? 1 : 0;
    }
    const auto q = static_cast<double>(mates.size());
    EXPECT_EQ(results[g].mated_probes, static_cast<std::int64_t>(mates.size()));
    EXPECT_EQ(results[g].other_probes, static_cast<std::int64_t>(strangers.size()));
    EXPECT_DOUBLE_EQ(results[g].rank1, static_cast<double>(first) / q);
    EXPECT_DOUBLE_EQ(results[g].rank5, static_cast<double>(in_five) / q);
    std::sort(others.rbegin(), others.rend());
    for (const auto& row : results[g].tpir) {
      const double threshold = others[static_cast<std::size_t>(std::ceil(row.fpir_target * q)) - 1];
      const auto above = [&](double t) {
        return static_cast<double>(
                   std::count_if(mates.begin(), mates.end(), [&](double m) { return m > t; })) /
               q;
      };
      EXPECT_NEAR(row.closed_set, above(threshold), 1e-12) << row.fpir_target;
      if (strangers.empty()) {
        EXPECT_TRUE(std::isnan(row.open_set));
        continue;
      }
      std::sort(strangers.rbegin(), strangers.rend());
      const auto allowed =
          static_cast<std::size_t>(row.fpir_target * static_cast<double>(strangers.size()));
      EXPECT_NEAR(row.open_set, above(strangers[allowed]), 1e-12) << row.fpir_target;
    }
  }
}

TEST_F(Ijb, AFailureOnOneRankEndsAll) {
  SmallCase c = small_case(7, control);
  c.rows[50].assign(2 * kSmallDim, std::nanf(""));
  IjbOptions options;
  options.variants = {{}};
  EXPECT_ANY_THROW((void)evaluate_ijb(c.protocol, features_of(c), options, control));
  EXPECT_THROW((void)read_ijb_protocol("/nowhere", control), data::DataError);
}

}  // namespace
}  // namespace diffprob::eval
