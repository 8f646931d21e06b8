// The history of training dynamics, recorded on any rank: the same file as of one process, the same
// after a move to other ranks, and DynUnc over windows of any length.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/tables/dynamics.h"
#include "prune/tables/dynamics_file.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kSamples = 101;
constexpr std::int64_t kEpochs = 9;

/// All records of an epoch but those of a few samples.
std::vector<EpochRecord> epoch_records(std::int64_t epoch) {
  Draws draws(static_cast<std::uint64_t>(epoch) + 1);
  std::vector<EpochRecord> records;
  for (std::int64_t i = 0; i < kSamples; ++i) {
    const double p = draws.uniform();
    const bool tiny = i % 5 == 0;
    if ((i + epoch) % 11 == 0) continue;
    records.push_back({static_cast<std::uint32_t>(i),
                       static_cast<float>(i % 7 == 0    ? 0.0
                                          : i % 13 == 0 ? 1.0
                                          : tiny        ? p * 1e-30
                                                        : p),
                       0, 1});
  }
  return records;
}

class History : public ::testing::Test {
 protected:
  [[nodiscard]] SampleRange own() const {
    return samples_of_rank(kSamples, collectives_.rank(), collectives_.world_size());
  }
  void add(DynamicsAccumulator& accumulator, std::int64_t first, std::int64_t last) {
    for (std::int64_t epoch = first; epoch < last; ++epoch) {
      std::vector<EpochRecord> part;
      for (const EpochRecord& record : epoch_records(epoch)) {
        const auto range = accumulator.state().range;
        if (record.index >= range.first && record.index < range.last) part.push_back(record);
      }
      accumulator.add_epoch(part, DynamicsAccumulator::Unvisited::kAllow);
    }
  }
  /// The file on rank 0, "" elsewhere.
  std::string write(const DynamicsAccumulator& accumulator, const std::string& name) {
    DynamicsTable table;
    table.source.num_classes = 1;
    table.epochs = kEpochs;
    table.rows = gather_on_root(accumulator.finish(), collectives_);
    table.labels.assign(table.rows.size(), 0);
    std::vector<std::vector<HalfBits>> epochs;
    for (const auto& epoch : accumulator.state().history)
      epochs.push_back(gather_on_root(epoch, collectives_));
    if (collectives_.rank() != 0) return "";
    DynamicsWriter writer(folder_.file(name), table, DynamicsWriter::History::kYes);
    for (const auto& epoch : epochs) writer.append_epoch(epoch);
    writer.commit();
    return folder_.file(name);
  }
  dist::HostCollectives collectives_;
  TemporaryFolder folder_;
};

TEST_F(History, IsThatOfOneProcessAndHoldsWhatWasSeen) {
  DynamicsAccumulator mine(own()), alone({0, kSamples});
  mine.keep_history();
  alone.keep_history();
  add(mine, 0, kEpochs);
  add(alone, 0, kEpochs);
  const std::string path = write(mine, "mine.h5");
  if (collectives_.rank() != 0) return;

  const DynamicsHistory history(path);
  std::vector<float> row(kSamples);
  for (std::int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    history.read(epoch, 0, row);
    std::vector<float> wanted(kSamples, std::numeric_limits<float>::quiet_NaN());
    for (const EpochRecord& record : epoch_records(epoch))
      wanted[record.index] = record.probability;
    for (std::size_t i = 0; i < row.size(); ++i) {
      EXPECT_EQ(std::isnan(row[i]), std::isnan(wanted[i])) << epoch << " " << i;
      if (std::isnan(row[i])) continue;
      EXPECT_EQ(row[i] == 0, wanted[i] == 0);
      EXPECT_EQ(row[i] == 1, wanted[i] == 1);
      EXPECT_NEAR(row[i], wanted[i], 2e-4F);
      EXPECT_NEAR(row[i], wanted[i], 0.032F * wanted[i]) << "small ones keep their size";
      EXPECT_EQ(alone.state().history[static_cast<std::size_t>(epoch)][i],
                std::isnan(wanted[i]) ? kHalfNaN
                                      : to_half(0.0 - std::log(static_cast<double>(wanted[i]))));
    }
  }
  EXPECT_EQ(read_dynamics(path).rows.mean_probability, alone.finish().mean_probability)
      << "readers of the statistics do not mind";
}

TEST_F(History, MovesToOtherRanksWithTheSameBytes) {
  std::vector<DynamicsState> parts;  // of five ranks that stopped after four epochs
  for (int rank = 0; rank < 5; ++rank) {
    DynamicsAccumulator part(samples_of_rank(kSamples, rank, 5));
    part.keep_history();
    add(part, 0, 4);
    parts.push_back(part.state());
  }
  DynamicsAccumulator moved(resplit(parts, own())), unbroken(own());
  unbroken.keep_history();
  add(unbroken, 0, kEpochs);
  add(moved, 4, kEpochs);
  EXPECT_EQ(moved.state().history, unbroken.state().history);
  const std::string a = write(moved, "a.h5"), b = write(unbroken, "b.h5");
  if (collectives_.rank() == 0) {
    EXPECT_EQ(read_bytes(a), read_bytes(b));
  }
}

TEST_F(History, PartsWithAndWithoutOneDoNotFit) {
  DynamicsAccumulator with({0, 5}), without({5, 10});
  with.keep_history();
  EXPECT_THAT(message_of<PruneError>([&] {
                static_cast<void>(
                    resplit(std::vector<DynamicsState>{with.state(), without.state()}, {0, 10}));
              }),
              HasSubstr("only some keep a history"));
  DynamicsState cut = with.state();
  cut.epochs = 3;
  EXPECT_THAT(message_of<PruneError>([&] { with.restore(cut); }),
              HasSubstr("a history of 0 epochs, expected 3"));
}

TEST_F(History, StartsAnywhereWithWhatItKnows) {
  DynamicsAccumulator late(own());
  add(late, 0, 3);
  late.keep_history();
  add(late, 3, 5);
  ASSERT_EQ(late.state().history.size(), 5U);
  for (const HalfBits bits : late.state().history[2]) EXPECT_EQ(bits, kHalfNaN);
}

TEST_F(History, AnyWindowCanBeComputed) {
  DynamicsAccumulator mine(own(), 4);
  mine.keep_history();
  add(mine, 0, kEpochs);
  const std::string path = write(mine, "mine.h5");
  if (collectives_.rank() != 0) return;
  const DynamicsHistory history(path);
  for (const std::int64_t window : {2, 4, 8}) {
    DynamicsAccumulator exact({0, kSamples}, window);
    add(exact, 0, kEpochs);
    const auto wanted = exact.finish().uncertainty;
    const auto whole = history.uncertainty({0, kSamples}, window);
    const auto part = history.uncertainty({40, 60}, window);
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(whole[i], wanted[i], 3e-3);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 40));
  }
}

TEST_F(History, OnlyFilesWithOneAreOpened) {
  DynamicsAccumulator mine(own());
  mine.keep_history();
  add(mine, 0, kEpochs);
  const std::string path = write(mine, "mine.h5");
  if (collectives_.rank() != 0) return;
  DynamicsTable table = read_dynamics(path);
  write_dynamics(folder_.file("plain.h5"), table);
  EXPECT_THAT(message_of<PruneError>([&] { DynamicsHistory none(folder_.file("plain.h5")); }),
              HasSubstr("train with --train.record=history"));
  DynamicsWriter writer(folder_.file("short.h5"), table, DynamicsWriter::History::kYes);
  EXPECT_THAT(message_of<PruneError>([&] { writer.commit(); }), HasSubstr("0 rows, 9 announced"));
}

}  // namespace
}  // namespace diffprob::prune::tests
