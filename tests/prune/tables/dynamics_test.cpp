// Training dynamics against slow, obvious formulas over the whole samples x epochs table, and
// against the paper's code.
#include "prune/tables/dynamics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "tests/prune/synthetic.h"
#include "tests/support/golden.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

/// history[e][i]
using History = std::vector<std::vector<EpochRecord>>;

History draw_history(std::uint64_t seed, std::int64_t first, std::int64_t samples,
                     std::int64_t epochs) {
  Draws draws(seed);
  History history;
  for (std::int64_t e = 0; e < epochs; ++e) {
    auto& epoch = history.emplace_back();
    for (std::int64_t i = 0; i < samples; ++i) {
      const bool zero = draws.below(6) == 0;
      const auto kind = i % 4;
      epoch.push_back({static_cast<std::uint32_t>(first + i),
                       kind == 1 ? 0.25F
                       : zero    ? 0.0F
                                 : static_cast<float>(draws.uniform()),
                       static_cast<float>(20 * draws.uniform() - 10),
                       static_cast<std::uint8_t>(kind == 2 ? 0 : draws.below(2))});
    }
  }
  return history;
}

double obvious_uncertainty(const History& history, std::size_t i, std::size_t window) {
  std::vector<double> buffer(window, 0.0);
  std::vector<double> collected;
  for (std::size_t e = 0; e < history.size(); ++e) {
    const double p = history[e][i].probability;
    if (p != 0) {
      buffer.erase(buffer.begin());
      buffer.push_back(p);
    }
    if (e + 1 < window || e + 1 == history.size()) continue;
    double mean = 0;
    for (const double b : buffer) mean += b / static_cast<double>(window);
    double variance = 0;
    for (const double b : buffer)
      variance += (b - mean) * (b - mean) / static_cast<double>(window - 1);
    collected.push_back(10 * std::sqrt(variance));
  }
  double sum = 0;
  for (const double u : collected) sum += u;
  return collected.empty() ? 0 : sum / static_cast<double>(collected.size());
}

std::int32_t obvious_forgetting(const History& history, std::size_t i) {
  std::int32_t forgotten = 0;
  bool ever = false;
  for (std::size_t e = 0; e < history.size(); ++e) {
    ever = ever || history[e][i].correct == 1;
    forgotten += e > 0 && history[e - 1][i].correct == 1 && history[e][i].correct == 0;
  }
  return ever ? forgotten : static_cast<std::int32_t>(history.size());
}

bool equal(const DynamicsRows& a, const DynamicsRows& b) {
  return a.mean_probability == b.mean_probability && a.uncertainty == b.uncertainty &&
         a.aum == b.aum && a.forgetting == b.forgetting &&
         a.last_probability == b.last_probability && a.last_correct == b.last_correct;
}

TEST(Dynamics, EqualTheFormulasOverTheWholeTable) {
  constexpr std::int64_t kFirst = 100;
  for (const std::int64_t window : {2, 5, 10}) {
    for (const std::int64_t epochs : {1, 2, 5, 6, 10, 11, 12, 34}) {
      const History history = draw_history(static_cast<std::uint64_t>(epochs), kFirst, 40, epochs);
      DynamicsAccumulator accumulator({kFirst, kFirst + 40}, window);
      for (auto epoch : history) {
        std::reverse(epoch.begin(), epoch.end());  // any order
        accumulator.add_epoch(epoch);
      }

      const DynamicsRows rows = accumulator.finish();

      ASSERT_EQ(rows.size(), 40U);
      for (std::size_t i = 0; i < 40; ++i) {
        double p = 0;
        double margin = 0;
        for (const auto& epoch : history) p += epoch[i].probability, margin += epoch[i].margin;
        EXPECT_NEAR(rows.mean_probability[i], p / static_cast<double>(epochs), 1e-14);
        EXPECT_NEAR(rows.aum[i], margin / static_cast<double>(epochs), 1e-6);
        EXPECT_NEAR(rows.uncertainty[i],
                    obvious_uncertainty(history, i, static_cast<std::size_t>(window)), 1e-12)
            << "window " << window << ", " << epochs << " epochs, sample " << i;
        EXPECT_EQ(rows.forgetting[i], obvious_forgetting(history, i));
        EXPECT_EQ(rows.last_probability[i], history.back()[i].probability);
        EXPECT_EQ(rows.last_correct[i], history.back()[i].correct);
      }
    }
  }
}

/// Of the golden runs, which all share it with their uncertainty; any for a set without them.
std::int64_t golden_window(const diffprob::tests::Golden& golden) {
  if (!golden.has("dynunc")) return 10;
  std::int64_t window = 0;
  for (const auto& run : golden.names("dynunc")) {
    if (!run.starts_with("run")) continue;
    const auto of_run = static_cast<std::int64_t>(golden.number("dynunc/" + run, "window"));
    if (window != 0) {
      EXPECT_EQ(of_run, window) << run;
    }
    window = of_run;
  }
  return window;
}

TEST(Dynamics, EqualThePapersCode) {
  const diffprob::tests::Golden golden("prune.h5");
  const bool has_mean = golden.has("diffprob_all_epochs/mean_prob"),
             has_uncertainty = golden.has("dynunc/uncertainty");
  if (!has_mean && !has_uncertainty)
    GTEST_SKIP() << "prune.h5 has neither mean probabilities nor uncertainties";
  const auto shape = golden.shape("input/history");
  const auto history = golden.floats("input/history");
  const auto samples = static_cast<std::size_t>(shape[1]);
  const std::int64_t window = golden_window(golden);
  DynamicsAccumulator accumulator({0, shape[1]}, window);
  for (std::size_t e = 0; e < static_cast<std::size_t>(shape[0]); ++e) {
    std::vector<EpochRecord> records;
    for (std::size_t i = 0; i < samples; ++i)
      records.push_back({static_cast<std::uint32_t>(i), history[e * samples + i], 0, 0});
    accumulator.add_epoch(records);
  }

  const auto rows = accumulator.finish();

  const auto expect_near = [&](const std::vector<double>& ours, const std::string& dataset,
                               double allowed) {
    if (!golden.has(dataset))
      return diffprob::tests::print_skipped(dataset, "the set does not have it");
    const auto wanted = golden.doubles(dataset);
    ASSERT_EQ(wanted.size(), samples);
    for (std::size_t i = 0; i < samples; ++i)
      EXPECT_NEAR(ours[i], wanted[i], allowed) << dataset << " " << i;
  };
  expect_near(rows.mean_probability, "diffprob_all_epochs/mean_prob", 1e-14);
  expect_near(rows.uncertainty, "dynunc/uncertainty", 1e-12);
}

TEST(Dynamics, GoOnFromASavedStateOfOtherRanges) {
  const History history = draw_history(7, 0, 97, 15);
  const auto part = [](const std::vector<EpochRecord>& epoch, SampleRange range) {
    return std::vector<EpochRecord>(epoch.begin() + range.first, epoch.begin() + range.last);
  };
  DynamicsAccumulator whole({0, 97}, 4);
  for (const auto& epoch : history) whole.add_epoch(epoch);
  std::vector<DynamicsState> saved;
  for (int rank = 2; rank >= 0; --rank) {
    DynamicsAccumulator own(samples_of_rank(97, rank, 3), 4);
    for (std::size_t e = 0; e < 9; ++e) own.add_epoch(part(history[e], own.state().range));
    saved.push_back(own.state());
  }

  DynamicsRows all;
  for (int rank = 0; rank < 5; ++rank) {
    DynamicsAccumulator own(resplit(saved, samples_of_rank(97, rank, 5)));
    for (std::size_t e = 9; e < history.size(); ++e)
      own.add_epoch(part(history[e], own.state().range));
    const auto rows = own.finish();
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(all.mean_probability, rows.mean_probability);
    append(all.uncertainty, rows.uncertainty);
    append(all.aum, rows.aum);
    append(all.forgetting, rows.forgetting);
    append(all.last_probability, rows.last_probability);
    append(all.last_correct, rows.last_correct);
  }

  EXPECT_TRUE(equal(all, whole.finish())) << "bit for bit";
}

/// An epoch without a sample is for its window what a probability of 0 is, and nothing at all for
/// its means.
TEST(Dynamics, EpochsNeedNotHaveEverySample) {
  constexpr std::int64_t kSamples = 30;
  constexpr std::size_t kEpochs = 14;
  const History history = draw_history(11, 0, kSamples, kEpochs);
  Draws draws(12);
  std::vector<std::vector<bool>> came(kEpochs, std::vector<bool>(kSamples, true));
  History as_zeros = history;
  DynamicsAccumulator accumulator({0, kSamples}, 4);
  for (std::size_t e = 0; e < kEpochs; ++e) {
    std::vector<EpochRecord> records;
    for (std::size_t i = 0; i < kSamples; ++i) {
      came[e][i] =
          draws.below(4) != 0 || (e == 3 && i != 5);  // all but sample 5 come at least once
      if (i == 5) came[e][i] = e == 9;
      if (came[e][i]) records.push_back(history[e][i]);
      if (!came[e][i]) as_zeros[e][i].probability = 0;
    }
    accumulator.add_epoch(records, DynamicsAccumulator::Unvisited::kAllow);
    if (e != 8) continue;
    EXPECT_THAT(accumulator.never_visited(), ::testing::ElementsAre(5));
    EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(accumulator.finish()); }),
                HasSubstr("sample 5"));
  }

  const auto rows = accumulator.finish();

  for (std::size_t i = 0; i < kSamples; ++i) {
    History seen;
    for (std::size_t e = 0; e < kEpochs; ++e) {
      if (came[e][i]) seen.push_back({history[e][i]});
    }
    double p = 0;
    double margin = 0;
    for (const auto& epoch : seen) p += epoch[0].probability, margin += epoch[0].margin;
    const auto visits = static_cast<double>(seen.size());
    EXPECT_NEAR(rows.mean_probability[i], p / visits, 1e-14);
    EXPECT_NEAR(rows.aum[i], margin / visits, 1e-6);
    EXPECT_NEAR(rows.uncertainty[i], obvious_uncertainty(as_zeros, i, 4), 1e-12);
    const bool ever = std::any_of(seen.begin(), seen.end(),
                                  [](const auto& epoch) { return epoch[0].correct == 1; });
    EXPECT_EQ(rows.forgetting[i],
              ever ? obvious_forgetting(seen, 0) : static_cast<std::int32_t>(kEpochs));
    EXPECT_EQ(rows.last_probability[i], seen.back()[0].probability);
    EXPECT_EQ(rows.last_correct[i], seen.back()[0].correct);
  }
}

TEST(Dynamics, SamplesOfNoEpochTakeOneRecordOutsideThem) {
  const auto epoch = draw_history(13, 0, 6, 1)[0];
  DynamicsAccumulator accumulator({0, 6});
  accumulator.add_epoch(std::vector<EpochRecord>(epoch.begin(), epoch.begin() + 4),
                        DynamicsAccumulator::Unvisited::kAllow);
  const auto refusal = [&](const std::vector<EpochRecord>& records) {
    return message_of<PruneError>([&] { accumulator.add_never_visited(records); });
  };
  EXPECT_THAT(refusal({epoch[4]}), HasSubstr("1 samples were not recorded; the first is sample 5"));
  EXPECT_THAT(refusal({epoch[3], epoch[4], epoch[5]}), HasSubstr("sample 3 was in an epoch"));

  accumulator.add_never_visited(std::vector<EpochRecord>{epoch[5], epoch[4]});

  const auto rows = accumulator.finish();
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(rows.last_probability[i], epoch[i].probability);
    EXPECT_EQ(rows.mean_probability[i], static_cast<double>(epoch[i].probability));
    EXPECT_EQ(rows.aum[i], epoch[i].margin);
  }
}

TEST(Dynamics, VisitsOfOneEpochAreMergedInAnyOrder) {
  std::vector<EpochRecord> records = {
      {7, 0.3F, 2, 1}, {2, 0.5F, 1, 1}, {7, 0.1F, -1, 0}, {7, 0.7F, 5, 1}};
  const auto merged = merge_visits(records);
  std::reverse(records.begin(), records.end());
  const auto again = merge_visits(records);

  ASSERT_EQ(merged.size(), 2U);
  EXPECT_EQ(merged[0].index, 2U);
  EXPECT_EQ(merged[0].probability, 0.5F);
  EXPECT_EQ(merged[0].correct, 1);
  EXPECT_EQ(merged[1].index, 7U);
  EXPECT_NEAR(merged[1].probability, 1.1 / 3, 1e-7);
  EXPECT_EQ(merged[1].margin, 2.0F);
  EXPECT_EQ(merged[1].correct, 0);
  EXPECT_EQ(again[1].probability, merged[1].probability);
}

TEST(Dynamics, ColumnsOfAStateHoldAllOfIt) {
  DynamicsAccumulator original({10, 30}, 3);
  for (const auto& epoch : draw_history(3, 10, 20, 6)) original.add_epoch(epoch);
  DynamicsState saved = original.state();
  DynamicsState read(saved.range, saved.window, saved.epochs);
  const auto from = saved.columns();
  const auto to = read.columns();
  std::size_t bytes = 0;
  for (std::size_t c = 0; c < from.size(); ++c) {
    ASSERT_EQ(from[c].bytes.size(), 20 * from[c].bytes_per_sample);
    std::copy(from[c].bytes.begin(), from[c].bytes.end(), to[c].bytes.begin());
    bytes += from[c].bytes_per_sample;
  }
  DynamicsAccumulator again({10, 30}, 3);
  again.restore(read);
  const auto next = draw_history(4, 10, 20, 1);
  original.add_epoch(next[0]);
  again.add_epoch(next[0]);

  EXPECT_TRUE(equal(again.finish(), original.finish()));
  EXPECT_EQ(bytes, 3 * 4 + 37U);
}

TEST(Dynamics, PartsThatDoNotCoverTheRangeAreRefused) {
  const auto parts = [](std::vector<SampleRange> ranges) {
    std::vector<DynamicsState> states;
    for (const auto range : ranges) states.emplace_back(range, 10, 2);
    return states;
  };
  const auto refusal = [&](const std::vector<DynamicsState>& states, SampleRange range) {
    return message_of<PruneError>([&] { static_cast<void>(resplit(states, range)); });
  };
  EXPECT_EQ(refusal(parts({{0, 10}, {10, 20}}), {5, 15}), "");
  EXPECT_THAT(refusal(parts({{0, 10}, {11, 20}}), {5, 15}), HasSubstr("sample 10 is missing"));
  EXPECT_THAT(refusal(parts({{0, 10}}), {5, 15}), HasSubstr("sample 10 is missing"));
  EXPECT_THAT(refusal(parts({{0, 10}, {8, 20}}), {5, 15}), HasSubstr("sample 8 appears twice"));
  EXPECT_THAT(refusal({}, {5, 15}), HasSubstr("no part"));
  auto uneven = parts({{0, 10}, {10, 20}});
  uneven[1].epochs = 3;
  EXPECT_THAT(refusal(uneven, {5, 15}), HasSubstr("saw 3 epochs"));
  auto shortened = parts({{0, 10}});
  shortened[0].forgotten.pop_back();
  EXPECT_THAT(refusal(shortened, {0, 10}),
              HasSubstr("column forgotten holds 36 bytes, expected 40"));
}

TEST(Dynamics, BadEpochsAreNamedAndChangeNothing) {
  const auto good = draw_history(5, 4, 6, 1)[0];
  DynamicsAccumulator accumulator({4, 10});
  accumulator.add_epoch(good);
  const auto before = accumulator.finish();
  const auto with = [&](auto&& change) {
    auto epoch = good;
    change(epoch);
    return message_of<PruneError>([&] { accumulator.add_epoch(epoch); });
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();

  EXPECT_THAT(with([](auto& e) { e.pop_back(); }),
              HasSubstr("epoch 1: 1 samples were not recorded; the first is sample 9"));
  EXPECT_THAT(with([](auto& e) { e[2].index = 5; }), HasSubstr("sample 5 was recorded twice"));
  EXPECT_THAT(with([](auto& e) { e[2].index = 3; }),
              HasSubstr("sample 3 is not one of the samples 4 to 9"));
  EXPECT_THAT(with([&](auto& e) { e[2].probability = nan; }),
              HasSubstr("sample 6: probability is nan"));
  EXPECT_THAT(with([&](auto& e) { e[2].probability = 1.5F; }),
              HasSubstr("sample 6: probability is 1.5"));
  EXPECT_THAT(with([&](auto& e) { e[3].margin = std::numeric_limits<float>::infinity(); }),
              HasSubstr("sample 7: margin is inf"));
  EXPECT_THAT(with([&](auto& e) { e[3].correct = 2; }), HasSubstr("sample 7: correct is 2"));
  EXPECT_TRUE(equal(accumulator.finish(), before));
  EXPECT_THAT(message_of<PruneError>([] {
                static_cast<void>(DynamicsAccumulator({0, 3}).finish());
              }),
              HasSubstr("no epoch"));
  EXPECT_THAT(message_of<PruneError>([] {
                static_cast<void>(DynamicsAccumulator({0, 3}, 1));
              }),
              HasSubstr("window 1"));
}

class DynamicsFile : public ::testing::Test {
 protected:
  static DynamicsTable table() {
    DynamicsTable table;
    table.source = {"data", "model", 0.35, 64, "train: {}\n", 3};
    table.epochs = 12;
    DynamicsAccumulator accumulator({0, 50});
    for (const auto& epoch : draw_history(9, 0, 50, 12)) accumulator.add_epoch(epoch);
    table.rows = accumulator.finish();
    for (int i = 0; i < 50; ++i) table.labels.push_back(i % 3);
    return table;
  }
  template <class Change>
  std::string refusal(const Change& change) {
    DynamicsTable changed = table();
    change(changed);
    return message_of<PruneError>([&] { write_dynamics(path_, changed); });
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("dynamics.h5");
};

TEST_F(DynamicsFile, ComesBackAsItWasAndIsTheSameBytesAgain) {
  const DynamicsTable written = table();

  write_dynamics(path_, written);
  const DynamicsTable read = read_dynamics(path_);
  write_dynamics(folder_.file("again.h5"), read);

  EXPECT_TRUE(equal(read.rows, written.rows));
  EXPECT_EQ(read.labels, written.labels);
  EXPECT_EQ(read.epochs, 12);
  EXPECT_EQ(read.window, 10);
  EXPECT_EQ(read.source.dataset_fingerprint, "data");
  EXPECT_EQ(read.source.config, "train: {}\n");
  EXPECT_EQ(read_bytes(path_), read_bytes(folder_.file("again.h5")));
}

TEST_F(DynamicsFile, BadRowsAreNamed) {
  const double nan = std::nan("");
  EXPECT_THAT(refusal([&](auto& t) { t.rows.uncertainty[3] = nan; }),
              HasSubstr("row 3: uncertainty is nan"));
  EXPECT_THAT(refusal([&](auto& t) { t.rows.mean_probability[4] = 1.25; }),
              HasSubstr("row 4: mean_probability is 1.25"));
  EXPECT_THAT(refusal([&](auto& t) { t.rows.last_probability[4] = -1; }),
              HasSubstr("row 4: last_probability is -1"));
  EXPECT_THAT(refusal([&](auto& t) { t.rows.aum[5] = std::numeric_limits<float>::infinity(); }),
              HasSubstr("row 5: aum is inf"));
  EXPECT_THAT(refusal([&](auto& t) { t.rows.forgetting[6] = 13; }),
              HasSubstr("row 6: forgetting is 13"));
  EXPECT_THAT(refusal([&](auto& t) { t.rows.last_correct[7] = 2; }),
              HasSubstr("row 7: last_correct is 2"));
  EXPECT_THAT(refusal([&](auto& t) { t.labels[8] = 3; }), HasSubstr("row 8: label is 3"));
  EXPECT_THAT(refusal([&](auto& t) { t.rows.aum.pop_back(); }),
              HasSubstr("aum: 49 rows, expected 50"));
  EXPECT_THAT(refusal([&](auto& t) { t.epochs = 0; }), HasSubstr("epochs is 0"));
  EXPECT_EQ(folder_.entries(), 0U);
}

TEST_F(DynamicsFile, EveryTruncationIsRefused) {
  write_dynamics(path_, table());
  const std::string bytes = read_bytes(path_);
  for (std::size_t length = 0; length < bytes.size(); length += length < 512 ? 1 : 37) {
    write_bytes(path_, bytes.substr(0, length));
    EXPECT_THROW(static_cast<void>(read_dynamics(path_)), PruneError) << length;
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
