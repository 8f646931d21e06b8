// Cleaning by the rules of cleanlab, against the index sets of the package itself (make_golden.py).
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <map>

#include <gtest/gtest.h>

#include "prune/cleaning/lowest.h"
#include "tests/prune/prune_cases.h"
#include "tests/support/golden.h"

namespace diffprob::prune::tests {
namespace {

using diffprob::tests::Golden;

std::string golden_file() {
  constexpr const char* kName = "cleanlab.h5";
  return std::getenv("DIFFPROB_GOLDEN_DIR") != nullptr
             ? std::string(kName)
             : std::string("../prune/cleaning/golden/") + kName;
}

ScoreTable table_of(const Golden& golden, const std::string& name) {
  ScoreTable table;
  table.source.dataset_fingerprint = "golden";
  table.source.num_classes = static_cast<std::int64_t>(golden.number(name, "classes"));
  const auto labels = golden.integers(name + "/label");
  const auto top1 = golden.integers(name + "/top1");
  const auto first = golden.floats(name + "/top1_log_prob");
  const auto second = golden.floats(name + "/second_log_prob");
  const auto own = golden.floats(name + "/own_log_prob");
  for (std::size_t i = 0; i < labels.size(); ++i) {
    ScoreRecord record;
    record.index = static_cast<std::uint32_t>(i);
    record.nll = -std::min(own[i], 0.0F);
    record.probability = std::exp(-record.nll);
    record.top1 = static_cast<std::int32_t>(top1[i]);
    record.top1_log_prob = first[i];
    record.second_log_prob = second[i];
    table.records.push_back(record);
    table.labels.push_back(static_cast<std::int32_t>(labels[i]));
  }
  return table;
}

class Cleanlab : public PruneTest {
 protected:
  struct Found {
    std::vector<std::int64_t> indices;
    std::int64_t open = 0;
  };
  /// On every rank.
  Found find(const ScoreTable& table, CleanRule rule) {
    PruneOptions options = with("none", true, {});
    options.cleaning.rule = rule;
    const PruneResult result = prune_table(table, options);
    std::vector<std::int64_t> own;
    for (std::int64_t round = 0; round < result.blocks.rounds(); ++round) {
      const SampleRange block = result.blocks.own(round);
      for (std::int64_t i = block.first; i < block.last; ++i) {
        const auto place = result.blocks.own_offset(round) + i - block.first;
        if (result.own_reasons[static_cast<std::size_t>(place)] == Reason::kMislabelled)
          own.push_back(i);
      }
    }
    Found found{collectives_.all_gather_v(std::span<const std::int64_t>(own)),
                result.open_evidence.value_or(-1)};
    std::sort(found.indices.begin(), found.indices.end());
    return found;
  }
};

std::size_t differing(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  std::vector<std::int64_t> only;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only));
  return only.size();
}

TEST_F(Cleanlab, FindsTheSameIndices) {
  const Golden golden(golden_file());
  std::map<std::string, std::pair<int, int>> closed;  // cases, cases as shipped
  const auto cases = golden.names("/");
  ASSERT_FALSE(cases.empty());
  for (const std::string& name : cases) {
    const ScoreTable table = table_of(golden, name);
    for (const std::string& rule : clean_rule_names()) {
      const std::string set = name + "/set_" + rule;
      if (!golden.has(set)) continue;
      const Found found = find(table, clean_rule_of(rule));
      const auto wanted = golden.integers(set);
      SCOPED_TRACE(set + ", " + std::to_string(found.open) + " open");
      // Only the matrix decides open samples; the rules that do not read the joint have none.
      if (found.open == 0) {
        EXPECT_EQ(differing(found.indices, wanted), 0U) << wanted.size();
        ++closed[rule].first;
        closed[rule].second += golden.number(set, "as_shipped") == 1 ? 1 : 0;
      } else if (rule == "confident_learning") {
        EXPECT_LE(differing(found.indices, wanted), static_cast<std::size_t>(found.open));
      }
    }
  }
  for (const auto& [rule, count] : closed) {
    EXPECT_GT(count.first, 4) << rule;
    if (collectives_.rank() == 0)
      std::cout << rule << ": " << count.first << " of " << cases.size() << " cases decided, "
                << count.second << " of them without ties in cleanlab's sort\n";
  }
}

TEST_F(Cleanlab, LowestOfAllTakesTheSmallerIndexOfEqualValues) {
  const std::vector<double> all = {0.5, 0.0, 0.25, 0.25, 1.0, 0.25, -0.0, 0.5};
  const auto rank = static_cast<std::size_t>(collectives_.rank());
  const auto ranks = static_cast<std::size_t>(collectives_.world_size());
  std::vector<double> values;
  std::vector<std::int64_t> indices;
  for (std::size_t i = rank; i < all.size(); i += ranks) {
    values.push_back(all[i]);
    indices.push_back(static_cast<std::int64_t>(i));
  }
  const std::vector<std::int64_t> order = {1, 6, 2, 3, 5, 0, 7, 4};
  for (std::int64_t count = 0; count <= 9; ++count) {
    const auto lowest = lowest_of_all(values, indices, count, collectives_);
    const auto end = order.begin() + std::min<std::int64_t>(count, 8);
    for (std::size_t i = 0; i < lowest.size(); ++i)
      EXPECT_EQ(lowest[i], std::find(order.begin(), end, indices[i]) != end) << count;
  }
}

TEST_F(Cleanlab, IsSafeWithOneClassAndWithEqualSamples) {
  for (const std::int32_t classes : {1, 3}) {
    ScoreTable table;
    table.source.dataset_fingerprint = "same";
    table.source.num_classes = classes;
    for (std::uint32_t i = 0; i < 10; ++i) {
      ScoreRecord record;
      record.index = i;
      record.probability = 1;
      record.second_log_prob = -std::numeric_limits<float>::infinity();
      table.records.push_back(record);
      table.labels.push_back(0);
    }
    for (const std::string& rule : clean_rule_names())
      EXPECT_TRUE(find(table, clean_rule_of(rule)).indices.empty()) << rule << " " << classes;
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
