// The whole pruning and the gathering of scores, on several ranks against one process.
#include "prune/prune.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "prune/cleaning.h"
#include "prune/error.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// The same pruning with the pure functions over all identities at once: no ranks, no exchange.
IndexSet prune_alone(const ScoreTable& table, PruneOptions options) {
  const IdentityGroups groups(table.labels, table.source.num_classes);
  const IdentityRange all{0, table.source.num_classes};
  std::vector<float> nll;
  std::vector<float> p;
  std::vector<std::int32_t> top1;
  for (const auto& record : table.records) nll.push_back(record.nll), p.push_back(record.probability), top1.push_back(record.top1);
  Selection usable{std::vector<Reason>(table.labels.size(), Reason::kKept)};
  if (options.clean) clean_mispredicted(top1, table.labels, usable.reasons);
  const auto n = static_cast<double>(table.labels.size());
  const auto with = [&](double threshold) {
    Selection selection = usable;
    options.diffprob.threshold = threshold;
    select_diffprob(nll, p, groups, all, options.diffprob, selection.reasons);
    return selection;
  };
  Selection selection = usable;
  double threshold = 0;
  if (options.method == "diffprob") {
    threshold = options.diffprob.threshold;
    if (options.keep_ratio) {
      const auto target = std::min<std::int64_t>(std::llround(*options.keep_ratio * n), usable.kept());
      threshold = search_threshold(target, usable.kept(), [&](double t) { return with(t).kept(); }).threshold;
    }
    selection = with(threshold);
  } else if (options.method == "random") {
    if (options.keep_ratio) options.random.fraction = std::min(1.0, *options.keep_ratio * n / static_cast<double>(usable.kept()));
    select_random(groups, all, options.random, selection.reasons);
  }
  IndexSet set = make_index_set(selection, table.labels, table.source.num_classes);
  set.threshold = threshold;
  set.dataset_fingerprint = table.source.dataset_fingerprint;
  set.method = !options.clean ? options.method : options.method == "none" ? "clean" : "clean+" + options.method;
  return set;
}

struct Case {
  const char* name;
  PruneOptions options;
};

std::vector<Case> cases() {
  PruneOptions plain;
  plain.clean = false;
  plain.diffprob.threshold = 0.01;
  PruneOptions reference = plain;
  reference.clean = true;
  reference.diffprob.preset = Preset::kReference;
  PruneOptions searched;
  searched.keep_ratio = 0.4;
  PruneOptions most;
  most.keep_ratio = 1.0;  // more than cleaning leaves
  PruneOptions drawn;
  drawn.method = "random";
  drawn.keep_ratio = 0.5;
  PruneOptions tail;
  tail.method = "random";
  tail.clean = false;
  tail.random.draw = RandomOptions::Draw::kTail;
  PruneOptions cleaning;
  cleaning.method = "none";
  return {{"plain", plain}, {"reference", reference}, {"searched", searched}, {"most", most},
          {"drawn", drawn}, {"tail", tail},           {"cleaning", cleaning}};
}

class Prune : public ::testing::Test {
 protected:
  std::string refusal(const ScoreTable& table, const PruneOptions& options) {
    return message_of<PruneError>([&] { static_cast<void>(prune(table, options, collectives_)); });
  }
  std::string digest(const IndexSet& set) {
    const std::string path = folder_.file("set.h5");
    write_index_set(path, set);
    const std::string bytes = read_bytes(path);
    return sha256(bytes.data(), bytes.size());
  }
  dist::HostCollectives collectives_;
  TemporaryFolder folder_;
};

TEST_F(Prune, IndexSetFilesAreTheSameBytesForAnyNumberOfRanks) {
  // 2 identities: fewer than ranks.
  for (const std::int64_t identities : {2, 60, 300}) {
    const ScoreTable table = synthetic_table(static_cast<std::uint64_t>(identities), identities, 20);
    for (const Case& one : cases()) {
      const auto result = prune(table, one.options, collectives_);

      EXPECT_EQ(digest(result.index_set), digest(prune_alone(table, one.options))) << one.name << ", " << identities << " identities";
    }
  }
}

TEST_F(Prune, CountsAreThoseOfTheIndexSet) {
  const ScoreTable table = synthetic_table(77, 80, 6);
  for (const Case& one : cases()) {
    const auto result = prune(table, one.options, collectives_);

    const auto& set = result.index_set;
    const auto count = [&](Reason reason) { return std::count(set.reasons.begin(), set.reasons.end(), reason); };
    EXPECT_EQ(result.mislabelled, count(Reason::kMislabelled));
    EXPECT_EQ(result.redundant, count(Reason::kRedundant));
    EXPECT_EQ(result.kept_by_floor, count(Reason::kKeptByFloor));
    EXPECT_EQ(result.usable, set.num_samples - result.mislabelled);
    EXPECT_EQ(static_cast<std::int64_t>(set.kept.size()), result.usable - result.redundant) << one.name;
    EXPECT_EQ(result.identities_before - result.identities_after, static_cast<std::int64_t>(result.vanished.size()));
    for (const auto c : result.vanished) {
      EXPECT_EQ(set.label_map[static_cast<std::size_t>(c)], -1);
      EXPECT_NE(std::count(table.labels.begin(), table.labels.end(), static_cast<std::int32_t>(c)), 0);
    }
    if (one.options.clean) {
      EXPECT_GT(result.mislabelled, 0);
    }
  }
}

TEST_F(Prune, WantedRatioIsOfAllSamples) {
  const ScoreTable table = synthetic_table(5, 200, 40);
  PruneOptions options;
  options.keep_ratio = 0.5;
  const auto searched = prune(table, options, collectives_);
  options.method = "random";
  const auto drawn = prune(table, options, collectives_);

  const double n = static_cast<double>(table.labels.size());
  ASSERT_TRUE(searched.search.has_value());
  EXPECT_EQ(searched.search->target, std::llround(0.5 * n));
  EXPECT_EQ(searched.search->kept, static_cast<std::int64_t>(searched.index_set.kept.size()));
  EXPECT_NEAR(static_cast<double>(searched.index_set.kept.size()) / n, 0.5, 0.01);
  EXPECT_NEAR(static_cast<double>(drawn.index_set.kept.size()) / n, 0.5, 0.02);
}

TEST_F(Prune, BadOptionsAndScoresAreRefusedOnAllRanks) {
  const ScoreTable good = synthetic_table(5, 20, 10);
  const auto with = [&](auto&& change) {
    PruneOptions options;
    change(options);
    return refusal(good, options);
  };
  EXPECT_THAT(with([](auto& o) { o.method = "dynunc"; }), HasSubstr("unknown method 'dynunc'"));
  for (const double ratio : {0.0, -0.5, 1.01, std::nan("")}) {
    EXPECT_THAT(with([&](auto& o) { o.keep_ratio = ratio; }), HasSubstr("keep_ratio is"));
  }
  for (const double threshold : {0.0, -1e-5, std::nan("")}) {
    EXPECT_THAT(with([&](auto& o) { o.diffprob.threshold = threshold; }), HasSubstr("threshold is"));
  }
  EXPECT_THAT(with([](auto& o) { o.diffprob.min_kept = 0; }), HasSubstr("min_kept is 0"));
  EXPECT_THAT(with([](auto& o) { o.method = "none", o.keep_ratio = 0.5; }), HasSubstr("has no keep_ratio"));
  EXPECT_THAT(with([](auto& o) { o.method = "random", o.random.fraction = 2; }), HasSubstr("fraction is 2"));
  ScoreTable bad = good;
  bad.records[3].nll = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(refusal(bad, {}), HasSubstr("row 3: nll is NaN"));
  ScoreTable wrong = good;
  for (std::size_t i = 0; i < wrong.labels.size(); ++i) wrong.records[i].top1 = (wrong.labels[i] + 1) % 20;
  EXPECT_THAT(refusal(wrong, {}), HasSubstr("no sample is left"));
}

TEST_F(Prune, AProblemOfOneRankIsThrownByAll) {
  ScoreTable table = synthetic_table(5, 20, 10);
  if (collectives_.rank() == collectives_.world_size() - 1) table.records[2].probability = 7;

  EXPECT_THAT(refusal(table, {}), HasSubstr("row 2: probability is 7"));
}

TEST_F(Prune, TablesThatDifferBetweenRanksAreRefused) {
  if (collectives_.world_size() == 1) GTEST_SKIP() << "one rank";
  ScoreTable table = synthetic_table(5, 20, 10);
  if (collectives_.rank() == 1) table.labels[0] = (table.labels[0] + 1) % 20;

  EXPECT_THAT(refusal(table, {}), HasSubstr("labels of rank 1 differ"));
}

TEST_F(Prune, SummarySaysWhatHappened) {
  ScoreTable table = synthetic_table(6, 40, 8);
  for (std::size_t i = 0; i < table.labels.size(); ++i) {
    if (table.labels[i] == 7) table.records[i].top1 = 8;  // vanishes, and is the most frequent confusion
  }
  PruneOptions options;
  options.keep_ratio = 0.6;
  const auto result = prune(table, options, collectives_);
  write_prune_summary(folder_.file("summary.json"), result, table);

  const auto json = nlohmann::json::parse(read_bytes(folder_.file("summary.json")));
  const auto n = static_cast<std::int64_t>(table.labels.size());
  const auto of_seven = std::count(table.labels.begin(), table.labels.end(), 7);
  ASSERT_GT(of_seven, 3);
  EXPECT_EQ(json["samples"], n);
  EXPECT_EQ(json["method"], "clean+diffprob");
  EXPECT_EQ(json["kept"], result.index_set.kept.size());
  EXPECT_EQ(json["ratio_wanted"], 0.6);
  EXPECT_EQ(json["ratio_achieved"], static_cast<double>(result.index_set.kept.size()) / static_cast<double>(n));
  EXPECT_EQ(json["reasons"]["mislabelled"], result.mislabelled);
  EXPECT_EQ(json["options"]["threshold"], result.index_set.threshold);
  EXPECT_EQ(json["search"]["curve"].size(), result.search->curve.size());
  EXPECT_EQ(json["vanished"].get<std::vector<std::int64_t>>(), result.vanished);
  EXPECT_NE(std::count(result.vanished.begin(), result.vanished.end(), 7), 0);
  EXPECT_EQ(json["confusions"][0], (nlohmann::json{{"label", 7}, {"top1", 8}, {"samples", of_seven}}));
  std::int64_t before = 0;
  std::size_t after = 0;
  for (const auto& count : json["per_identity"]["before"]) before += count.get<std::int64_t>();
  for (const auto& count : json["per_identity"]["after"]) after += count.get<std::size_t>();
  EXPECT_EQ(before, n);
  EXPECT_EQ(after, result.index_set.kept.size());
  EXPECT_EQ(json["per_identity"]["before"][7], of_seven);
  EXPECT_EQ(json["per_identity"]["after"][7], 0);
}

class GatherRecords : public ::testing::Test {
 protected:
  static constexpr std::int64_t kSamples = 101;
  /// Samples dealt out to the ranks in turn, backwards.
  [[nodiscard]] std::vector<ScoreRecord> own() const {
    std::vector<ScoreRecord> records;
    for (std::int64_t i = kSamples - 1; i >= 0; --i) {
      if (i % collectives_.world_size() != collectives_.rank()) continue;
      ScoreRecord record;
      record.index = static_cast<std::uint32_t>(i);
      record.nll = static_cast<float>(i) / 8;
      records.push_back(record);
    }
    return records;
  }
  std::string refusal(const std::vector<ScoreRecord>& records) {
    return message_of<PruneError>([&] { static_cast<void>(all_gather_records(records, kSamples, collectives_)); });
  }
  [[nodiscard]] bool last_rank() const { return collectives_.rank() == collectives_.world_size() - 1; }
  dist::HostCollectives collectives_;
};

TEST_F(GatherRecords, PutsEveryRecordInItsPlace) {
  const auto all = all_gather_records(own(), kSamples, collectives_);

  ASSERT_EQ(all.size(), static_cast<std::size_t>(kSamples));
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].index, i);
    EXPECT_EQ(all[i].nll, static_cast<float>(i) / 8);
  }
}

TEST_F(GatherRecords, AHoleIsNamedOnAllRanks) {
  auto records = own();
  std::erase_if(records, [](const ScoreRecord& record) { return record.index == 42 || record.index == 57; });

  EXPECT_THAT(refusal(records), HasSubstr("2 of 101 samples were not scored, the first is sample 42"));
}

TEST_F(GatherRecords, ADuplicateIsNamedOnAllRanks) {
  auto records = own();
  ScoreRecord again;
  again.index = 0;  // belongs to rank 0
  if (last_rank()) records.push_back(again);

  const std::string last = std::to_string(collectives_.world_size() - 1);
  EXPECT_THAT(refusal(records), AllOf(HasSubstr("sample 0 was scored twice, by rank 0"), HasSubstr("and by rank " + last)));
}

TEST_F(GatherRecords, AnIndexOutOfRangeIsNamedOnAllRanks) {
  auto records = own();
  if (last_rank()) records.back().index = static_cast<std::uint32_t>(kSamples);

  const std::string last = std::to_string(collectives_.world_size() - 1);
  EXPECT_THAT(refusal(records), HasSubstr("rank " + last + " scored sample 101, expected 0 to 100"));
}

TEST_F(GatherRecords, RanksMustExpectTheSameNumber) {
  if (collectives_.world_size() == 1) GTEST_SKIP() << "one rank";
  const std::int64_t samples = kSamples + (collectives_.rank() == 1 ? 1 : 0);

  EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(all_gather_records(own(), samples, collectives_)); }),
              HasSubstr("rank 1 expects 102 samples, rank 0 101"));
}

TEST_F(GatherRecords, NoSamplesAtAllIsAnEmptyTable) {
  EXPECT_TRUE(all_gather_records({}, 0, collectives_).empty());
}

}  // namespace
}  // namespace diffprob::prune::tests
