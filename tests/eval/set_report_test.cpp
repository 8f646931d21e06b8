#include "eval/set_report.h"

#include <cmath>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/support/golden.h"

namespace diffprob::eval {
namespace {

void expect_number_or_nan(double got, double want) {
  if (std::isnan(want))
    EXPECT_TRUE(std::isnan(got)) << got;
  else
    EXPECT_NEAR(got, want, 1e-12);
}

TEST(SetReport, Golden) {
  const tests::Golden golden("verification.h5");
  for (const auto& group : golden.names("/")) {
    SCOPED_TRACE(group);
    const auto distances = golden.doubles(group + "/distance");
    std::vector<bool> same;
    for (const auto s : golden.integers(group + "/issame")) same.push_back(s != 0);

    const SetReport report = report_pairs(group, distances, same, static_cast<int>(golden.number(group, "folds")));

    EXPECT_EQ(report.pairs, report.genuine + report.impostors);
    EXPECT_NEAR(report.verification.accuracy_mean, golden.number(group, "accuracy_mean"), 1e-12);
    ASSERT_EQ(report.val.size(), 3U);
    const char* names[] = {"1e-3", "1e-2", "1e-1"};
    for (std::size_t i = 0; i < 3; ++i) {
      if (golden.has_attribute(group, std::string("val_at_far_") + names[i]))
        expect_number_or_nan(report.val[i].val.val_mean, golden.number(group, std::string("val_at_far_") + names[i]));
    }
    ASSERT_EQ(report.tar.size(), 6U);
    for (const auto& row : report.tar) EXPECT_EQ(row.meaningful, row.far_target * static_cast<double>(report.impostors) >= 1);
    if (!golden.has_attribute(group, "auc")) continue;
    EXPECT_NEAR(report.auc, golden.number(group, "auc"), 1e-12);
    EXPECT_NEAR(report.eer, golden.number(group, "eer"), 1e-12);
    for (const auto& [index, name] : {std::pair{3, "0.001"}, {4, "0.01"}, {5, "0.1"}})
      EXPECT_NEAR(report.tar[static_cast<std::size_t>(index)].tar, golden.number(group, std::string("tar_at_far_") + name), 1e-12);
  }
}

}  // namespace
}  // namespace diffprob::eval
