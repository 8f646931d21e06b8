// Kept sets of the paper's code (tests/golden/prune.h5 and the digests at scale), compared exactly.
// Runs and sizes come from the files.
#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <gtest/gtest.h>

#include "prune/cleaning/rules.h"
#include "prune/tables/dynamics.h"
#include "tests/prune/in_memory.h"
#include "tests/prune/whole_selection.h"
#include "tests/support/golden.h"

namespace diffprob::prune::tests {
namespace {

using diffprob::tests::Golden;

struct Input {
  explicit Input(const Golden& golden)
      : probability(golden.floats("input/prob")), correct(golden.integers("input/correct")) {
    for (const auto label : golden.integers("input/label"))
      labels.push_back(static_cast<std::int32_t>(label));
    for (const auto label : labels) num_classes = std::max<std::int64_t>(num_classes, label + 1);
  }
  [[nodiscard]] std::vector<Reason> reasons(bool clean) const {
    std::vector<Reason> all(labels.size(), Reason::kKept);
    std::vector<std::int32_t> top1;
    for (std::size_t i = 0; i < labels.size(); ++i)
      top1.push_back(correct[i] != 0 ? labels[i] : -1);
    if (clean) prune::clean({labels, top1, {}, {}}, {}, ClassThresholds(0), all);
    return all;
  }

  std::vector<std::int32_t> labels;
  std::vector<float> probability;
  std::vector<std::int64_t> correct;
  std::int64_t num_classes = 0;
};

DiffProbOptions options_of(const Golden& golden, const std::string& run) {
  return {golden.number(run, "threshold"),
          {static_cast<std::int64_t>(golden.number(run, "min_samples_per_id"))},
          Preset::kReference};
}

/// Kinds of runs that a set may have, of which it must have one.
constexpr const char* kGroups[] = {"diffprob", "diffprob_clean", "diffprob_all_epochs", "dynunc",
                                   "rand"};

/// Empty for a kind that the set does not have; one that is there must have runs.
std::vector<std::string> runs_of(const Golden& golden, const std::string& group) {
  std::vector<std::string> runs;
  if (!golden.has(group)) return runs;
  for (const auto& name : golden.names(group)) {
    if (name.starts_with("run")) runs.push_back(group + "/" + name);
  }
  std::printf("%s: %zu runs\n", group.c_str(), runs.size());
  EXPECT_FALSE(runs.empty()) << group;
  EXPECT_EQ(static_cast<double>(runs.size()),
            golden.number_or(group, "runs", static_cast<double>(runs.size())))
      << group;
  return runs;
}

Selection select_reference(const Input& input, const DiffProbOptions& options, bool clean) {
  Selection selection{input.reasons(clean)};
  select_diffprob_of({}, input.probability, input.labels, {0, input.num_classes}, options,
                     selection.reasons);
  return selection;
}

TEST(PruneGolden, HasRuns) {
  const Golden golden("prune.h5");
  EXPECT_TRUE(std::ranges::any_of(kGroups, [&](const char* group) { return golden.has(group); }))
      << "prune.h5 has no runs at all";
}

TEST(PruneGolden, DiffProbKeepsTheSameSamples) {
  const Golden golden("prune.h5");
  const Input input(golden);
  const auto runs = runs_of(golden, "diffprob");
  if (runs.empty())
    GTEST_SKIP() << "the set has no runs of "
                 << "diffprob";
  for (const auto& run : runs) {
    EXPECT_EQ(select_reference(input, options_of(golden, run), false).kept_indices(),
              golden.integers(run + "/kept"))
        << run;
  }
}

TEST(PruneGolden, CleanedDiffProbKeepsTheSameSamplesAndMapsTheSameLabels) {
  const Golden golden("prune.h5");
  const Input input(golden);
  const auto runs = runs_of(golden, "diffprob_clean");
  if (runs.empty())
    GTEST_SKIP() << "the set has no runs of "
                 << "diffprob_clean";
  for (const auto& run : runs) {
    const auto set = make_index_set(select_reference(input, options_of(golden, run), true),
                                    input.labels, input.num_classes);

    EXPECT_EQ(set.kept, golden.integers(run + "/kept")) << run;
    std::vector<std::int64_t> old_labels;
    std::vector<std::int64_t> new_labels;
    for (std::size_t c = 0; c < set.label_map.size(); ++c) {
      if (set.label_map[c] < 0) continue;
      old_labels.push_back(static_cast<std::int64_t>(c));
      new_labels.push_back(set.label_map[c]);
    }
    EXPECT_EQ(old_labels, golden.integers(run + "/map_old_label")) << run;
    EXPECT_EQ(new_labels, golden.integers(run + "/map_new_label")) << run;
  }
}

TEST(PruneGolden, MeanOverEpochsKeepsTheSameSamples) {
  const Golden golden("prune.h5");
  const Input input(golden);
  const UsableSlots slots(input.labels, input.reasons(false), input.num_classes);
  const auto runs = runs_of(golden, "diffprob_all_epochs");
  if (runs.empty())
    GTEST_SKIP() << "the set has no runs of "
                 << "diffprob_all_epochs";
  for (const auto& run : runs) {
    const auto mean = golden.doubles("diffprob_all_epochs/mean_prob");
    Selection selection{input.reasons(false)};

    const SortedIdentities sorted(slots.identities(), std::span<const double>(slots.of(mean)),
                                  Ties::kLast);
    slots.decide(selection.reasons, [&](std::span<Reason> reasons) {
      select_diffprob(sorted, options_of(golden, run), reasons);
    });

    EXPECT_EQ(selection.kept_indices(), golden.integers(run + "/kept")) << run;
  }
}

TEST(PruneGolden, TailKeepsTheSameSamplesAsRandOfTheReference) {
  const Golden golden("prune.h5");
  const Input input(golden);
  const auto runs = runs_of(golden, "rand");
  if (runs.empty())
    GTEST_SKIP() << "the set has no runs of "
                 << "rand";
  for (const auto& run : runs) {
    RandomOptions options;
    options.fraction = golden.number(run, "fraction");
    options.floor.min_kept = static_cast<std::int64_t>(golden.number(run, "min_samples_per_id"));
    options.draw = RandomOptions::Draw::kTail;
    Selection selection{input.reasons(false)};

    select_random_of(input.labels, {0, input.num_classes}, options, selection.reasons);

    EXPECT_EQ(selection.kept_indices(), golden.integers(run + "/kept")) << run;
  }
}

/// Our own uncertainty from the history, epoch by epoch.
std::vector<double> streamed_uncertainty(const Golden& golden, std::int64_t window) {
  const auto shape = golden.shape("input/history");
  const auto history = golden.floats("input/history");
  const auto samples = static_cast<std::size_t>(shape[1]);
  DynamicsAccumulator accumulator({0, shape[1]}, window);
  for (std::size_t e = 0; e < static_cast<std::size_t>(shape[0]); ++e) {
    std::vector<EpochRecord> records;
    for (std::size_t i = 0; i < samples; ++i)
      records.push_back({static_cast<std::uint32_t>(i), history[e * samples + i], 0, 0});
    accumulator.add_epoch(records);
  }
  return accumulator.finish().uncertainty;
}

TEST(PruneGolden, DynUncKeepsTheSameSamples) {
  const Golden golden("prune.h5");
  const Input input(golden);
  const UsableSlots slots(input.labels, input.reasons(false), input.num_classes);
  const auto runs = runs_of(golden, "dynunc");
  if (runs.empty())
    GTEST_SKIP() << "the set has no runs of "
                 << "dynunc";
  for (const auto& run : runs) {
    RankedOptions options;
    options.fraction = golden.number(run, "fraction");
    options.floor.min_kept = static_cast<std::int64_t>(golden.number(run, "min_samples_per_id"));
    options.preset = Preset::kReference;
    const auto uncertainty =
        streamed_uncertainty(golden, static_cast<std::int64_t>(golden.number(run, "window")));
    Selection selection{input.reasons(false)};

    const SortedIdentities sorted(slots.identities(),
                                  std::span<const double>(slots.of(uncertainty)), Ties::kLast);
    slots.decide(selection.reasons,
                 [&](std::span<Reason> reasons) { select_ranked(sorted, options, reasons); });

    EXPECT_EQ(selection.kept_indices(), golden.integers(run + "/kept")) << run;
  }
}

/// Samples made by the recipe of the golden README.
Input scale_input(std::uint64_t seed, std::int64_t samples, std::int64_t identities, Input input) {
  const auto u = [seed](std::uint64_t stream, std::int64_t i) {
    return diffprob::tests::hash_uniform(seed, stream, static_cast<std::uint64_t>(i));
  };
  std::vector<std::int64_t> counts(static_cast<std::size_t>(identities), 2);
  for (std::int64_t j = 0; j < samples - 2 * identities; ++j) {
    const double v = u(1, j);
    ++counts[static_cast<std::size_t>(std::floor(v * v * static_cast<double>(identities)))];
  }
  input.labels.clear();
  input.probability.clear();
  input.correct.clear();
  input.num_classes = identities;
  for (std::int64_t c = 0; c < identities; ++c) {
    input.labels.insert(input.labels.end(),
                        static_cast<std::size_t>(counts[static_cast<std::size_t>(c)]),
                        static_cast<std::int32_t>(c));
  }
  for (std::int64_t j = 0; j < samples; ++j) {
    const double q = std::floor(u(2, j) * u(2, j) * 0x1p24) * 0x1p-24;
    input.probability.push_back(static_cast<float>(1 - q * q));
    input.correct.push_back(u(3, j) >= 0.02 ? 1 : 0);
  }
  return input;
}

TEST(PruneGolden, DigestsAtScaleAreTheSame) {
  const Input empty{Golden("prune.h5")};
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(diffprob::tests::golden_dir())) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("prune_scale_") || entry.path().extension() != ".json") continue;
    ++files;
    const auto wanted = diffprob::tests::golden_json(name);
    const auto input = scale_input(wanted["seed"], wanted["samples"], wanted["ids"], empty);

    const std::int64_t min_samples =
        wanted.value("min_samples_per_id", 5);  // 5 in the golden README
    const auto kept =
        select_reference(input, {wanted["threshold"], {min_samples}, Preset::kReference},
                         wanted["clean"])
            .kept_indices();

    EXPECT_EQ(static_cast<std::int64_t>(kept.size()), wanted["kept"].get<std::int64_t>()) << name;
    EXPECT_EQ(sha256(kept.data(), kept.size() * sizeof(kept[0])),
              wanted["sha256"].get<std::string>())
        << name;
    std::printf("%s: %zu kept\n", name.c_str(), kept.size());
  }
  if (files == 0) GTEST_SKIP() << "the set has no prune_scale_*.json";
}

}  // namespace
}  // namespace diffprob::prune::tests
