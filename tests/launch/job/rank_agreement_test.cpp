#include "launch/job/rank_agreement.h"

#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/mpi_world.h"

namespace diffprob::launch {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class RankAgreement : public ::testing::Test {
 protected:
  [[nodiscard]] bool is_last() const { return control_.rank() == control_.world_size() - 1; }
  /// "rank 0 on node0" with two ranks, "ranks 0-1 on node0 node1" with three.
  [[nodiscard]] std::string others() const {
    return control_.world_size() == 2 ? "rank 0 on node0" : "ranks 0-1 on node0 node1";
  }
  [[nodiscard]] std::string last() const {
    const std::string rank = std::to_string(control_.world_size() - 1);
    return "rank " + rank + " on node" + rank;
  }
  [[nodiscard]] RankFacts facts() const {
    return {"node" + std::to_string(control_.rank()), "diffprob 1", "", "train.lr=0.1\nseed=1\n"};
  }
  std::string complaint(const RankFacts& own) {
    try {
      check_agreement(own, control_);
    } catch (const RanksDiffer& error) {
      return error.what();
    }
    return "";
  }
  /// Of clocks that go `ahead` seconds wrong here.
  std::string clocks(double ahead) {
    const auto now = [ahead] {
      return ahead +
             std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
                 .count();
    };
    return clock_problem("node" + std::to_string(control_.rank()), now, control_);
  }
  dist::HostCollectives control_;
};

TEST_F(RankAgreement, HostsAloneMayDiffer) {
  EXPECT_EQ(complaint(facts()), "");
}

TEST_F(RankAgreement, AnotherProgramOnOneRankIsNamedOnAll) {
  RankFacts own = facts();
  if (is_last()) own.program = "diffprob 2";

  const std::string text = complaint(own);

  EXPECT_THAT(text, HasSubstr("the ranks run different programs:\n  " + others() +
                              ": diffprob 1\n  " + last() + ": diffprob 2\n"));
}

TEST_F(RankAgreement, AConfigurationThatOneRankCannotReadIsNamedOnAll) {
  RankFacts own = facts();
  if (is_last()) own.problem = "config: 1 problem\n  x.yaml: cannot be read", own.settings = "";

  const std::string text = complaint(own);

  EXPECT_THAT(text, HasSubstr("some ranks cannot use the configuration:\n  " + others() +
                              ": no problem\n  " + last() +
                              ": config: 1 problem\n  x.yaml: cannot be read\n"));
}

TEST_F(RankAgreement, TheSameProblemOnAllIsNotADifference) {
  RankFacts own = facts();
  own.problem = "config: 1 problem";

  EXPECT_EQ(complaint(own), "");
}

TEST_F(RankAgreement, KeysThatDifferAreNamedWithTheirValues) {
  RankFacts own = facts();
  if (is_last()) own.settings = "train.lr=0.2\nseed=1\nmodel.new=[1, 2]\n";

  const std::string text = complaint(own);

  EXPECT_THAT(text, HasSubstr("\n  train.lr: 0.1 on " + others() + "; 0.2 on " + last() + "\n"));
  EXPECT_THAT(text,
              HasSubstr("\n  model.new: missing on " + others() + "; [1, 2] on " + last() + "\n"));
  EXPECT_THAT(text, Not(HasSubstr("seed")));
}

TEST_F(RankAgreement, AFewOfManyKeysAreShown) {
  RankFacts own = facts();
  for (int key = 0; key < 12; ++key)
    own.settings += "key" + std::to_string(key) + "=" + std::to_string(is_last() ? 1 : 0) + "\n";

  const std::string text = complaint(own);

  EXPECT_THAT(text, HasSubstr("\n  and 7 more\n"));
}

TEST_F(RankAgreement, AClockThatGoesWrongIsNamedOnAll) {
  EXPECT_THAT(clocks(is_last() ? 60 : 0),
              ContainsRegex("differ: " + last() + " is (59|60)\\.[0-9] s ahead\\."));
}

TEST_F(RankAgreement, AWrongClockOfRank0IsNotThatOfTheOthers) {
  if (control_.world_size() < 3) GTEST_SKIP() << "of two clocks either may be wrong";

  EXPECT_THAT(clocks(control_.rank() == 0 ? -3600 : 0),
              ContainsRegex("differ: rank 0 on node0 is (3599|3600)\\.[0-9] s behind\\."));
}

TEST_F(RankAgreement, ClocksThatAreALittleApartAreFine) {
  EXPECT_EQ(clocks(is_last() ? 2 : 0), "");
}

TEST_F(RankAgreement, ALateRankHasNoWrongClock) {
  if (is_last()) std::this_thread::sleep_for(std::chrono::seconds(6));

  EXPECT_EQ(clocks(0), "");
}

TEST_F(RankAgreement, TheConfigurationIsThatOfTheCommandLine) {
  const CommandLine line{"train", {}, {{"train.lr", "0.25"}}, {}};

  EXPECT_EQ(agreed_config(line, tests::mpi()).train.schedule.base_lr, 0.25);
}

TEST_F(RankAgreement, TheSameBadConfigurationOnAllRanksIsAConfigError) {
  const CommandLine line{"train", {}, {{"train.lrr", "0.25"}}, {}};

  EXPECT_THROW(static_cast<void>(agreed_config(line, tests::mpi())), ConfigError);
}

TEST_F(RankAgreement, AnotherOptionOnOneRankIsAnErrorOnAll) {
  const CommandLine line{"train", {}, {{"train.lr", is_last() ? "0.5" : "0.25"}}, {}};

  EXPECT_THROW(static_cast<void>(agreed_config(line, tests::mpi())), RanksDiffer);
}

TEST_F(RankAgreement, AnUnreadableConfigurationOnOneRankIsAnErrorOnAll) {
  const CommandLine line{"train", {}, {{is_last() ? "train.lrr" : "train.lr", "0.5"}}, {}};

  EXPECT_THROW(static_cast<void>(agreed_config(line, tests::mpi())), RanksDiffer);
}

}  // namespace
}  // namespace diffprob::launch
