#include "data/synthetic/faces.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "data/error.h"
#include "data/images/jpeg_decoder.h"
#include "data/records/record_io.h"
#include "data/sets/verification_set.h"
#include "data/synthetic/plan.h"
#include "data/synthetic/renderer.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using Pixels = std::vector<std::uint8_t>;

SyntheticFacesOptions small_options() {
  SyntheticFacesOptions options;
  options.identities = 12;
  options.images_per_identity = 15;
  options.verification_pairs = 60;
  options.verification_identities = 20;
  options.near_duplicates = 0.3;
  options.flipped_labels = 0.05;
  options.hard_samples = 0.1;
  return options;
}

struct Planted {
  std::int64_t label, true_label, source;
  std::string kind;
};

std::vector<Planted> read_planted(const std::string& path) {
  std::istringstream lines(test::read_file(path));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "index,label,true_label,kind,source");
  std::vector<Planted> rows;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::array<std::string, 5> field;
    for (auto& text : field) std::getline(fields, text, ',');
    EXPECT_EQ(field[0], std::to_string(rows.size()));
    rows.push_back({std::stoll(field[1]), std::stoll(field[2]), std::stoll(field[4]), field[3]});
  }
  return rows;
}

/// 14 x 14 block means, centred and of unit length: what a face is from afar.
std::vector<double> thumbnail(const Pixels& rgb) {
  std::vector<double> out(14 * 14 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) {
    const std::size_t y = i / 3 / 112 / 8;
    const std::size_t x = i / 3 % 112 / 8;
    out[(y * 14 + x) * 3 + i % 3] += rgb[i];
  }
  double mean = 0.0;
  for (const double v : out) mean += v / static_cast<double>(out.size());
  double square = 0.0;
  for (double& v : out) square += (v - mean) * (v - mean);
  for (double& v : out) v = (v - mean) / std::sqrt(square);
  return out;
}

double correlation(const Pixels& a, const Pixels& b) {
  const auto x = thumbnail(a);
  const auto y = thumbnail(b);
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

Pixels decode(const std::vector<std::byte>& jpeg) {
  ImageDecoder decoder;
  Pixels out(112 * 112 * 3);
  decoder.decode(jpeg, 112, out.data());
  return out;
}

class SyntheticFaces : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder();
    write_synthetic_faces(*folder_ / "set", small_options());
  }
  static void TearDownTestSuite() { delete folder_; }
  static std::string file(const std::string& name) { return *folder_ / ("set/" + name); }
  static test::TemporaryFolder* folder_;
};
test::TemporaryFolder* SyntheticFaces::folder_ = nullptr;

TEST_F(SyntheticFaces, OpensAsARecordFile) {
  const auto set = open_record_file(file("train.rec"));
  const auto planted = read_planted(file("planted.csv"));
  EXPECT_EQ(set->num_classes(), 12);
  ASSERT_EQ(set->size(), static_cast<std::int64_t>(planted.size()));
  std::map<std::int64_t, std::int64_t> counts;
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    EXPECT_EQ(set->label(i), planted[static_cast<std::size_t>(i)].label);
    ++counts[set->label(i)];
    set->read(i, bytes);
    EXPECT_NO_THROW((void)decode(bytes)) << i;
  }
  for (const auto& [label, count] : counts) {
    EXPECT_GE(count, 10) << label;
    EXPECT_LE(count, 20) << label;
  }
  EXPECT_EQ(test::read_file(file("property")).substr(0, 10), "12,112,112");
}

TEST_F(SyntheticFaces, PlantsTheProportionsAskedFor) {
  const auto planted = read_planted(file("planted.csv"));
  std::map<std::string, double> share;
  for (const Planted& row : planted) share[row.kind] += 1.0 / static_cast<double>(planted.size());
  const double one_sample = 1.01 / static_cast<double>(planted.size());
  EXPECT_NEAR(share["near_duplicate"], 0.3, one_sample);
  EXPECT_NEAR(share["flipped_label"], 0.05, one_sample);
  EXPECT_NEAR(share["hard"], 0.1, one_sample);
  EXPECT_EQ(share.size(), 4u);
}

TEST_F(SyntheticFaces, PlantedLinesAreConsistent) {
  const auto planted = read_planted(file("planted.csv"));
  std::map<std::int64_t, int> flips;
  for (const Planted& row : planted) {
    EXPECT_EQ(row.kind == "flipped_label", row.label != row.true_label);
    EXPECT_EQ(row.kind == "near_duplicate", row.source >= 0);
    if (row.kind == "flipped_label") ++flips[row.label];
    if (row.source < 0) continue;
    const Planted& source = planted[static_cast<std::size_t>(row.source)];
    EXPECT_EQ(source.label, row.label);
    EXPECT_EQ(source.kind, "plain");
  }
  for (const auto& [label, count] : flips)
    EXPECT_LE(count, 2) << label;  // evenly: 20 samples at most, 5 percent
}

TEST_F(SyntheticFaces, NearDuplicatesAreNearAndOthersAreNot) {
  const auto set = open_record_file(file("train.rec"));
  const auto planted = read_planted(file("planted.csv"));
  std::vector<Pixels> images;
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    set->read(i, bytes);
    images.push_back(decode(bytes));
  }
  double genuine = 0.0;
  double impostor = 0.0;
  std::array<int, 2> pairs{};
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (planted[i].source >= 0) {
      EXPECT_GT(correlation(images[i], images[static_cast<std::size_t>(planted[i].source)]), 0.97)
          << i;
      EXPECT_NE(images[i], images[static_cast<std::size_t>(planted[i].source)]);
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (planted[i].kind != "plain" || planted[j].kind != "plain") continue;
      const bool same = planted[i].label == planted[j].label;
      (same ? genuine : impostor) += correlation(images[i], images[j]);
      ++pairs[same ? 0 : 1];
    }
  }
  genuine /= pairs[0];
  impostor /= pairs[1];
  EXPECT_GT(genuine, impostor + 0.1);
  EXPECT_LT(genuine, 0.8);  // pictures of one person differ plainly
}

TEST_F(SyntheticFaces, BytesDoNotDependOnThreadsButOnTheSeed) {
  const test::TemporaryFolder other;
  SyntheticFacesOptions options = small_options();
  options.threads = 1;
  write_synthetic_faces(other / "one/", options);
  for (const char* name :
       {"train.rec", "train.idx", "property", "planted.csv", "synthetic_verification.bin"}) {
    EXPECT_EQ(test::read_file(other / (std::string("one/") + name)), test::read_file(file(name)))
        << name;
  }
  options.seed = 2;
  write_synthetic_faces(other / "two", options);
  EXPECT_NE(test::read_file(other / "two/train.rec"), test::read_file(file("train.rec")));
}

TEST_F(SyntheticFaces, WritesIntoAnExistingFolderAndLeavesNoRubbish) {
  const test::TemporaryFolder other;
  test::write_file(other / "notes.txt", "mine");
  SyntheticFacesOptions options = small_options();
  options.identities = 3;
  for (int again = 0; again < 2; ++again) write_synthetic_faces(other.path(), options);
  EXPECT_EQ(open_record_file(other / "train.rec")->num_classes(), 3);
  EXPECT_EQ(test::read_file(other / "notes.txt"), "mine");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(other.path()), {}), 6);
  EXPECT_FALSE(std::filesystem::exists(other.path() + ".partial-" + std::to_string(::getpid())));
}

TEST_F(SyntheticFaces, VerificationPairsAreHalfGenuineInEveryFold) {
  const VerificationSet set = read_verification_bin(file("synthetic_verification.bin"));
  ASSERT_EQ(set.pairs(), 60);
  for (std::size_t fold = 0; fold < 10; ++fold) {
    int genuine = 0;
    for (std::size_t i = 0; i < 6; ++i) genuine += set.same[fold * 6 + i] ? 1 : 0;
    EXPECT_EQ(genuine, 3) << fold;
  }
  EXPECT_EQ(std::set(set.images.begin(), set.images.end()).size(), 120u);  // no picture twice
}

TEST_F(SyntheticFaces, VerificationFoldsShareNobody) {
  const auto plan = plan_verification_set(small_options());
  std::map<std::int64_t, std::set<std::size_t>> folds_of;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    folds_of[plan[i].identity].insert(i / 12);
    EXPECT_LT(plan[i].identity, 20);
    const bool first_of_pair = i % 2 == 0;
    if (first_of_pair) {
      EXPECT_EQ(plan[i].identity == plan[i + 1].identity, i % 4 == 0) << i;
    }
  }
  for (const auto& [identity, folds] : folds_of) EXPECT_EQ(folds.size(), 1u) << identity;
}

TEST(SyntheticPlan, HoldsExactSharesForTheDefaultSet) {
  const SyntheticFacesOptions options;
  const auto plan = plan_training_set(options);
  std::map<PlantedKind, std::int64_t> counts;
  std::map<std::int64_t, int> plain;
  for (const PlannedSample& sample : plan) {
    ++counts[sample.kind];
    plain[sample.label] += sample.kind == PlantedKind::kPlain ? 1 : 0;
  }
  const auto total = static_cast<double>(plan.size());
  EXPECT_NEAR(total, 2400.0, 150.0);
  EXPECT_NEAR(static_cast<double>(counts[PlantedKind::kNearDuplicate]), 0.30 * total, 1.0);
  EXPECT_NEAR(static_cast<double>(counts[PlantedKind::kFlippedLabel]), 0.02 * total, 1.0);
  EXPECT_NEAR(static_cast<double>(counts[PlantedKind::kHard]), 0.05 * total, 1.0);
  EXPECT_EQ(plain.size(), 100u);
  for (const auto& [label, count] : plain) EXPECT_GE(count, 1) << label;
}

TEST(SyntheticPlan, RefusesImpossibleOptions) {
  const auto refused = [](auto change) {
    SyntheticFacesOptions options;
    change(options);
    EXPECT_THROW((void)plan_training_set(options), DataError);
  };
  refused([](auto& o) { o.identities = 0; });
  refused([](auto& o) { o.identities = 1; });  // nobody to flip labels with
  refused([](auto& o) { o.images_per_identity = 0; });
  refused([](auto& o) { o.near_duplicates = -0.1; });
  refused([](auto& o) { o.hard_samples = 0.8; });
  refused([](auto& o) { o.verification_identities = 1; });
  refused([](auto& o) { o.threads = 0; });
  refused([](auto& o) { o.nuisance = std::nan(""); });
}

TEST(FaceRenderer, StrengthsDoWhatTheySay) {
  const auto picture = [](std::uint64_t person, float spread, std::uint64_t shot, float nuisance) {
    auto sample = faces::draw_sample(shot, nuisance, faces::Difficulty::kPlain);
    sample.noise_key = 5;
    return faces::render_face(faces::draw_identity(person, spread), sample);
  };
  EXPECT_EQ(picture(1, 0.0f, 1, 0.0f), picture(2, 0.0f, 1, 0.0f));  // nobody differs
  EXPECT_NE(picture(1, 1.0f, 1, 0.0f), picture(2, 1.0f, 1, 0.0f));
  EXPECT_EQ(picture(1, 1.0f, 1, 1.0f), picture(1, 1.0f, 1, 1.0f));
  double weak = 0.0;
  double strong = 0.0;
  for (std::uint64_t shot = 0; shot < 40; ++shot) {
    weak += correlation(picture(1, 1.0f, 0, 0.0f), picture(1, 1.0f, shot, 0.3f)) / 40.0;
    strong += correlation(picture(1, 1.0f, 0, 0.0f), picture(1, 1.0f, shot, 1.5f)) / 40.0;
  }
  EXPECT_GT(weak, strong + 0.1);
}

TEST(FaceRenderer, EveryFaceIsAPictureWithContrast) {
  for (std::uint64_t key = 0; key < 200; ++key) {
    const auto difficulty = key % 2 == 0 ? faces::Difficulty::kPlain : faces::Difficulty::kHard;
    const Pixels rgb = faces::render_face(faces::draw_identity(key, 2.0f),
                                          faces::draw_sample(key + 1000, 2.0f, difficulty));
    ASSERT_EQ(rgb.size(), 112u * 112 * 3);
    const auto [low, high] = std::ranges::minmax(rgb);
    EXPECT_GT(high - low, 20) << key;
  }
}

}  // namespace
}  // namespace diffprob::data
