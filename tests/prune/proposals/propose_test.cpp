// Proposals of planted sets, on any number of ranks.
#include "prune/propose.h"

#include <cmath>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/tables/embedding_file.h"
#include "tests/prune/prune_cases.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kDim = 32;
constexpr std::int32_t kPersons = 30;
constexpr std::int32_t kHalf = 30;     // the label of every other sample of person 3
constexpr std::int32_t kMixed = 7;     // persons 7 and 8 have this label
constexpr std::int32_t kClasses = 31;  // 0 to 29, and kHalf; 8 has no samples

/// Persons as directions, samples about them; scores of an honest network.
struct PlantedSet {
  ScoreTable table;
  std::vector<float> embeddings;
  std::set<std::int64_t> flipped;
};

PlantedSet planted() {
  Draws draws(17);
  PlantedSet set;
  set.table.source = {"planted", "model", 0, 64, "train:\n  epochs: 3\n", kClasses};
  std::map<std::int32_t, int> seen;
  for (int i = 0; i < 600; ++i) {
    const auto person = static_cast<std::int32_t>(draws.below(kPersons));
    std::int32_t label = person == 8 ? kMixed : person;
    if (person == 3 && seen[person]++ % 2 == 1) label = kHalf;
    const bool flips = draws.below(20) == 0 && person != 3 && person != 7 && person != 8;
    if (flips) {
      label = (person + 11) % 25;
      if (label == 3 || label == 7 || label == 8) label = 10 + label;
      if (label == person) label = (label + 1) % 3;
      set.flipped.insert(i);
    }
    for (std::size_t d = 0; d < kDim; ++d)
      set.embeddings.push_back(static_cast<float>((d == static_cast<std::size_t>(person) ? 3 : 0) +
                                                  0.8 * (2 * draws.uniform() - 1)));
    ScoreRecord record;
    record.index = static_cast<std::uint32_t>(i);
    record.top1 = flips ? person : label;
    // Halves of a person are mistaken for one another.
    if (person == 3 && seen[person] % 4 < 2) record.top1 = label == 3 ? kHalf : 3;
    const bool agrees = record.top1 == label;
    record.top1_log_prob = person == 3 ? -0.7F : -0.1F;
    record.nll = agrees ? -record.top1_log_prob : (person == 3 ? 0.71F : 6.0F);
    record.second_log_prob = agrees ? -6.0F : -record.nll;
    record.probability = static_cast<float>(std::exp(-static_cast<double>(record.nll)));
    record.sum_p2 = 0.5F;
    record.entropy = 0.5F;
    record.cosine = 0.75F;
    record.norm = 20;
    set.table.labels.push_back(label);
    set.table.records.push_back(record);
  }
  return set;
}

class Propose : public PruneTest {
 protected:
  Proposals proposals(const PlantedSet& set, bool with_embeddings) {
    const PruneFiles files = files_of(set.table);
    std::string embeddings;
    if (with_embeddings) {
      embeddings = folder_.file("embeddings.h5");
      EmbeddingWriter writer(
          embeddings,
          {"planted", "model", "", static_cast<std::int64_t>(set.table.labels.size()),
           static_cast<std::int64_t>(kDim)},
          false);
      writer.append(set.embeddings);
      writer.commit();
    }
    PruneOptions options = with("none", true, {});
    options.cleaning.margin = 2;
    const PruneResult result = prune(files, options, collectives_, work());
    return propose(result, {files.scores, embeddings}, collectives_);
  }
};

TEST_F(Propose, PlantedCasesAreFoundOnAnyNumberOfRanks) {
  const PlantedSet set = planted();

  const Proposals found = proposals(set, true);

  EXPECT_EQ(found.left_out, "");
  EXPECT_EQ(found.relabels, static_cast<std::int64_t>(set.flipped.size()));
  EXPECT_EQ(found.merges, 1);
  EXPECT_EQ(found.splits, 1);
  if (collectives_.rank() != 0) {
    EXPECT_TRUE(found.all.empty());
    return;
  }
  std::set<std::int64_t> relabelled, split;
  for (const Proposal& each : found.all) {
    if (each.kind == Proposal::Kind::kRelabel) relabelled.insert(each.index);
    if (each.kind == Proposal::Kind::kSplit) {
      split.insert(each.index);
      EXPECT_EQ(each.identity, kMixed);
    }
    if (each.kind == Proposal::Kind::kMerge) {
      EXPECT_EQ(std::set({each.identity, each.proposed}), std::set<std::int64_t>({3, kHalf}));
      EXPECT_GT(each.agreement, 0.95);
    }
  }
  EXPECT_EQ(relabelled, set.flipped);
  // One of the two persons, whole.
  std::set<std::int64_t> of_axis[2];
  for (std::size_t i = 0; i < set.table.labels.size(); ++i)
    if (set.table.labels[i] == kMixed)
      of_axis[set.embeddings[i * kDim + 8] > set.embeddings[i * kDim + 7]].insert(
          static_cast<std::int64_t>(i));
  EXPECT_TRUE(split == of_axis[0] || split == of_axis[1]);
}

TEST_F(Propose, WithoutEmbeddingsSaysWhatIsLeftOut) {
  const PlantedSet set = planted();

  const Proposals found = proposals(set, false);

  EXPECT_THAT(found.left_out, HasSubstr("identities of two persons are not looked for"));
  EXPECT_EQ(found.relabels, static_cast<std::int64_t>(set.flipped.size()));
  EXPECT_EQ(found.merges, 1);
  EXPECT_EQ(found.splits, 0);
}

TEST_F(Propose, ScoresWithMarginHaveNoConfidentPredictions) {
  PlantedSet set = planted();
  set.table.source.margin = 0.3;
  const PruneFiles files = files_of(set.table);
  const PruneResult result = prune(files, with("none", true, {}), collectives_, work());

  const Proposals found = propose(result, {files.scores, ""}, collectives_);

  EXPECT_THAT(found.left_out, HasSubstr("no labels to change are looked for; no embeddings"));
  EXPECT_EQ(found.relabels, 0);
  EXPECT_EQ(found.merges, 1);
}

TEST_F(Propose, EmbeddingsOfAnotherSetAreRefused) {
  PlantedSet set = planted();
  const std::string path = folder_.file("other.h5");
  EmbeddingWriter writer(path, {"other", "model", "", 600, static_cast<std::int64_t>(kDim)}, false);
  writer.append(set.embeddings);
  writer.commit();
  const PruneFiles files = files_of(set.table);
  const PruneResult result = prune(files, with("none", true, {}), collectives_, work());

  EXPECT_THAT(message_of<PruneError>([&] {
                static_cast<void>(propose(result, {files.scores, path}, collectives_));
              }),
              HasSubstr("run `diffprob embed` on the data set that was scored"));
}

}  // namespace
}  // namespace diffprob::prune::tests
