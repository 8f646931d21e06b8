// The list of suspicious samples: its order is cleanlab's, on any number of ranks.
#include "prune/tables/suspects.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::int64_t> indices(const std::vector<Suspect>& suspects) {
  std::vector<std::int64_t> all;
  for (const Suspect& suspect : suspects) all.push_back(suspect.index);
  return all;
}

std::vector<Suspect> drawn(std::int64_t count) {
  Draws draws(12);
  std::vector<Suspect> suspects;
  for (std::int64_t i = 0; i < count; ++i)
    suspects.push_back({i, 0, 1, static_cast<float>(draws.below(40)), -0.1F});
  return suspects;
}

TEST(Suspicion, EqualOnesComeByIndexAndUnknownOnesLast) {
  constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();
  Suspects suspects;
  suspects.add({4, 0, kUnknownClass, kUnknown, kUnknown});
  suspects.add({3, 0, 1, 2, -0.1F});
  suspects.add({1, 0, kUnknownClass, kUnknown, kUnknown});
  suspects.add({2, 0, 1, std::numeric_limits<float>::infinity(), -0.1F});
  suspects.add({0, 0, 1, 2, -0.1F});
  suspects.add({9, 0, 1, 3, -0.1F});
  EXPECT_EQ(indices(suspects.take()), (std::vector<std::int64_t>{2, 9, 0, 3, 1, 4}));
}

TEST(Suspicion, OnlyTheFirstStay) {
  const auto all = drawn(1000);
  Suspects every, some(70);
  for (const Suspect& suspect : all) {
    every.add(suspect);
    some.add(suspect);
  }
  auto wanted = indices(every.take());
  wanted.resize(70);
  EXPECT_EQ(indices(some.take()), wanted);
}

TEST(Suspicion, RanksBringTheirsTogether) {
  dist::HostCollectives collectives;
  const auto all = drawn(500);
  for (const std::size_t most : {70U, 10000U}) {
    Suspects mine(most), everyones(most);
    for (const Suspect& suspect : all) {
      everyones.add(suspect);
      if (suspect.index % collectives.world_size() == collectives.rank()) mine.add(suspect);
    }
    const auto gathered = gather_suspects(mine.take(), collectives, most);
    if (collectives.rank() == 0) {
      EXPECT_EQ(indices(gathered), indices(everyones.take()));
    } else {
      EXPECT_TRUE(gathered.empty());
    }
  }
}

TEST(Suspicion, TheListIsCsvThatOthersRead) {
  const TemporaryFolder folder;
  const std::vector<Suspect> suspects = {
      {5, 3, 7, std::log(8.0F), -std::log(2.0F), Suspect::Dropped::kYes},
      {2, 0, kUnknownClass, std::numeric_limits<float>::quiet_NaN(),
       std::numeric_limits<float>::quiet_NaN(), Suspect::Dropped::kNo}};
  const std::string path = folder.file("suspects.csv");
  constexpr const char* kHead =
      "index,given_label,suggested_label,self_confidence,margin,log_margin,dropped,source\n";

  write_suspects(path, suspects, 0, [](std::int64_t i) {
    return i == 5 ? std::string("a \"b\", c.jpg") : std::string("plain.jpg");
  });
  EXPECT_EQ(read_bytes(path), std::string(kHead) +
                                  "5,3,7,0.125,-0.375,1.3862944,1,\"a \"\"b\"\", c.jpg\"\n" +
                                  "2,0,,,,,0,plain.jpg\n");

  write_suspects(path, std::span(suspects).first(1), 0.35, {}, std::vector<std::int64_t>(6, 40));
  EXPECT_EQ(read_bytes(path), std::string(kHead) + "40,3,7,0.125,,,1,\n")
      << "with a margin in p, nothing can be compared with the other class";

  write_suspects(path, {}, 0, {});
  EXPECT_EQ(read_bytes(path), kHead);
}

TEST(Suspicion, NeedsPredictions) {
  ScoreTable table = synthetic_table(1, 3, 4);
  table.columns = ScoreColumns::none();
  EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(suspects_of("s.h5", table)); }),
              HasSubstr("s.h5: has no column top1"));
}

/// What cleanlab 2.9.0 says of 24 drawn samples of 5 classes: label, most probable class, their
/// probabilities, and the quality by self-confidence and by normalized margin.
struct Judged {
  std::int32_t label, top1;
  double own, best, self_confidence, normalized_margin;
};
const std::vector<Judged>& judged() {
  static const std::vector<Judged> all = {
      {4, 1, 0.20086475444684859, 0.40726515650397033, 0.20086475444684859, 0.39679979897143913},
      {3, 2, 0.048981988339598444, 0.85945302876398155, 0.048981988339598444, 0.094764479787808442},
      {2, 2, 0.32131861307509951, 0.32131861307509951, 0.32131861307509951, 0.50492652232994328},
      {3, 0, 0.010770600742239376, 0.8712004928692717, 0.010770600742239376, 0.069785053936483821},
      {4, 4, 0.55417616115581836, 0.55417616115581836, 0.55417616115581836, 0.62054018887101792},
      {2, 4, 0.20965929513992662, 0.34705649371796027, 0.20965929513992662, 0.43130140071098316},
      {0, 4, 0.011370634854767475, 0.9096891247015817, 0.011370634854767475, 0.050840755076592914},
      {3, 2, 0.081566843218609353, 0.69049135063899758, 0.081566843218609353, 0.19553774628980591},
      {1, 4, 0.12534544112835078, 0.75081309786824024, 0.12534544112835078, 0.18726617163005527},
      {4, 4, 0.55417616115581836, 0.55417616115581836, 0.55417616115581836, 0.62054018887101792},
      {0, 0, 0.66688036994564071, 0.66688036994564071, 0.66688036994564071, 0.73006931123872099},
      {0, 3, 0.27762252639119667, 0.56537375244866117, 0.27762252639119667, 0.35612438697126775},
      {4, 0, 0.17559807091811092, 0.3773141423349502, 0.17559807091811092, 0.39914196429158033},
      {1, 1, 0.55360221807557186, 0.55360221807557186, 0.55360221807557186, 0.57318925583250857},
      {0, 4, 0.37385734123396652, 0.56912346328975638, 0.37385734123396652, 0.40236693897210507},
      {0, 4, 0.28055746034982942, 0.66849542543320595, 0.28055746034982942, 0.30603101745831174},
      {1, 2, 0.23676516751641144, 0.39528527003291941, 0.23676516751641144, 0.42073994874174603},
      {1, 3, 0.13032713458474604, 0.6172944866177279, 0.13032713458474604, 0.2565163239835091},
      {1, 1, 0.44305246020190114, 0.44305246020190114, 0.44305246020190114, 0.50708586680620649},
      {4, 0, 0.0070863504482599447, 0.59919857851209946, 0.0070863504482599447,
       0.20394388596808022},
      {4, 3, 0.004603912355124291, 0.9724961044663829, 0.004603912355124291, 0.016053903944370673},
      {2, 2, 0.65370573909867247, 0.65370573909867247, 0.65370573909867247, 0.74422959304254777},
      {4, 0, 0.23249805850548638, 0.39672132711621999, 0.23249805850548638, 0.41788836569463317},
      {1, 3, 0.29934644756961004, 0.55894820069991047, 0.29934644756961004, 0.37019912343484979},
  };
  return all;
}

TEST(Suspicion, OrderAndNumbersAreThoseOfCleanlab) {
  ScoreTable table;
  table.source.num_classes = 5;
  for (const Judged& one : judged()) {
    ScoreRecord record{};
    record.index = static_cast<std::uint32_t>(table.records.size());
    record.nll = static_cast<float>(-std::log(one.own));
    record.probability = static_cast<float>(one.own);
    record.top1 = one.top1;
    record.top1_log_prob = static_cast<float>(std::log(one.best));
    table.records.push_back(record);
    table.labels.push_back(one.label);
  }
  const auto suspects = suspects_of("table", table);
  EXPECT_EQ(indices(suspects), (std::vector<std::int64_t>{20, 19, 3, 6, 1, 7, 8, 17, 12, 0, 5, 22,
                                                          16, 11, 15, 23, 14}));
  for (const Suspect& suspect : suspects) {
    const Judged& one = judged()[static_cast<std::size_t>(suspect.index)];
    const double own = std::exp(-static_cast<double>(suspect.nll));
    const double best = std::exp(static_cast<double>(suspect.top1_log_prob));
    EXPECT_NEAR(own, one.self_confidence, 1e-6);
    EXPECT_NEAR((own - best + 1) / 2, one.normalized_margin, 1e-6);
  }
  auto by_margin = suspects;
  std::stable_sort(by_margin.begin(), by_margin.end(), [](const Suspect& a, const Suspect& b) {
    const auto margin = [](const Suspect& s) {
      return std::exp(-s.nll) - std::exp(s.top1_log_prob);
    };
    return margin(a) < margin(b);
  });
  EXPECT_EQ(indices(by_margin), (std::vector<std::int64_t>{20, 6, 3, 1, 8, 7, 19, 17, 15, 11, 23, 0,
                                                           12, 14, 22, 16, 5}));
}

}  // namespace
}  // namespace diffprob::prune::tests
