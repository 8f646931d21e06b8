#include "launch/score/head_labels.h"

#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/config/config_error.h"
#include "model/weights/weights.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::launch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Six images of three people.
class ThreePeople final : public data::Dataset {
 public:
  [[nodiscard]] std::int64_t size() const override { return 6; }
  [[nodiscard]] std::int64_t num_classes() const override { return 3; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override { return index / 2; }
  void read(std::int64_t, std::vector<std::byte>& bytes) const override { bytes.clear(); }
  [[nodiscard]] std::string describe(std::int64_t) const override { return "a sample"; }
  [[nodiscard]] std::string fingerprint() const override { return "of three people"; }
};

CheckpointInfo info_of(std::int64_t classes, const std::string& settings) {
  CheckpointInfo info;
  info.num_classes = classes;
  info.settings = settings;
  return info;
}

TEST(HeadLabels, TheSetThatItWasTrainedOnIsFine) {
  EXPECT_EQ(check_head_labels("c", info_of(3, "dataset=of three people\n"), ThreePeople()), "");
  EXPECT_EQ(check_head_labels("c", info_of(3, ""), ThreePeople()), "");
}

TEST(HeadLabels, AnotherSetOfAsManyPeopleIsDoubted) {
  EXPECT_THAT(check_head_labels("c", info_of(3, "dataset=of others\n"), ThreePeople()),
              AllOf(HasSubstr("another one than that of c"), HasSubstr("of others"),
                    HasSubstr("both have 3 identities")));
}

TEST(HeadLabels, AnotherNumberOfPeopleIsRefused) {
  for (const std::int64_t classes : {2, 4}) {
    try {
      (void)check_head_labels("c", info_of(classes, ""), ThreePeople());
      ADD_FAILURE() << "a head of " << classes << " was taken";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("this data set has 3"));
    }
  }
}

TEST(HeadClasses, AreThoseOfTheDataSet) {
  const tests::ScratchFolder folder;
  model::write_pth(folder.file("head.pth"), model::StateDict{{"weight", at::ones({4, 2})}});
  const model::HeadFiles head({folder.file("head.pth")});
  const auto problem_with = [&](std::int64_t classes) {
    try {
      check_head_classes(head, classes);
    } catch (const ConfigError& error) {
      return error.problems().front();
    }
    return std::string("none");
  };
  EXPECT_EQ(problem_with(4), "none");
  EXPECT_THAT(problem_with(3), AllOf(HasSubstr("head.pth (weight) has 4 class centres, but the "
                                               "data set has 3 identities"),
                                     HasSubstr("padded"), HasSubstr("data.kept")));
  EXPECT_THAT(problem_with(6), AllOf(HasSubstr("has 4 class centres, but the data set has 6"),
                                     HasSubstr("files of further ranks missing")));
}

}  // namespace
}  // namespace diffprob::launch
