#include "eval/metrics/set_report.h"

#include <cmath>
#include <string>
#include <utility>

#include <gmock/gmock.h>
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

/// The row of a report whose target is the FAR at the end of the attribute's name; null if the
/// report has no such row.
template <class Row>
const Row* row_of(const std::vector<Row>& rows, const std::string& attribute,
                  const std::string& prefix) {
  const double far = tests::number_in_name(attribute, prefix);
  for (const Row& row : rows) {
    if (std::abs(row.far_target - far) <= 1e-12 * far) return &row;
  }
  tests::print_skipped(attribute, "the report has no row for this FAR");
  return nullptr;
}

TEST(SetReport, Golden) {
  const tests::Golden golden("verification.h5");
  int compared = 0;
  for (const auto& group : golden.names("/")) {
    SCOPED_TRACE(group);
    const auto distances = golden.doubles(group + "/distance");
    std::vector<bool> same;
    for (const auto s : golden.integers(group + "/issame")) same.push_back(s != 0);

    const SetReport report =
        report_pairs(group, distances, same, static_cast<int>(golden.number(group, "folds")));

    ++compared;
    EXPECT_EQ(report.pairs, report.genuine + report.impostors);
    EXPECT_NEAR(report.verification.accuracy_mean, golden.number(group, "accuracy_mean"), 1e-12);
    for (const auto& name : golden.attributes(group, "val_at_far_")) {
      if (const ValRow* row = row_of(report.val, name, "val_at_far_"))
        expect_number_or_nan(row->val.val_mean, golden.number(group, name));
    }
    for (const auto& row : report.tar)
      EXPECT_EQ(row.meaningful, row.far_target * static_cast<double>(report.impostors) >= 1);
    if (!golden.has_attribute(group, "auc")) continue;
    EXPECT_NEAR(report.auc, golden.number(group, "auc"), 1e-12);
    EXPECT_NEAR(report.eer, golden.number(group, "eer"), 1e-12);
    for (const auto& name : golden.attributes(group, "tar_at_far_")) {
      const TarAtFar* row = row_of(report.tar, name, "tar_at_far_");
      if (row != nullptr) expect_number_or_nan(row->tar, golden.number(group, name));
    }
  }
  EXPECT_GT(compared, 0) << "verification.h5 has no group";
}

TEST(SetReport, HasTheUsualRows) {
  const SetReport report =
      report_pairs("few", std::vector<double>{0.1, 0.2, 3, 3.5}, {true, true, false, false}, 2);

  std::vector<double> val, tar;
  for (const auto& row : report.val) val.push_back(row.far_target);
  for (const auto& row : report.tar) tar.push_back(row.far_target);
  EXPECT_THAT(val, ::testing::ElementsAre(1e-3, 1e-2, 1e-1));
  EXPECT_THAT(tar, ::testing::ElementsAre(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1));
}

}  // namespace
}  // namespace diffprob::eval
