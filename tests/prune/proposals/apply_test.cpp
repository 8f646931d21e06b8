// Proposals as a file, and applied to labels.
#include "prune/proposals/apply.h"

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::int64_t> kLabels = {0, 0, 0, 1, 1, 2, 2, 2, 3};
constexpr std::int64_t kClasses = 5;  // the last one has no samples

class ProposalFile : public ::testing::Test {
 protected:
  std::vector<ProposalLine> lines(const std::string& text) {
    const std::string path = folder_.file("proposals.csv");
    std::ofstream(path) << text;
    return read_proposals(path);
  }
  AppliedProposals applied(const std::string& rows) {
    return apply_proposals("p.csv", lines("kind,index,identity,proposed\n" + rows), kLabels,
                           kClasses);
  }
  std::string refusal(const std::string& rows) {
    try {
      (void)applied(rows);
    } catch (const PruneError& error) {
      return error.what();
    }
    return "";
  }
  TemporaryFolder folder_;
};

TEST_F(ProposalFile, WhatIsWrittenReadsBack) {
  Proposal relabel{Proposal::Kind::kRelabel, 3, 1, 0};
  relabel.probability = 0.75;
  relabel.log_margin = 2.5;
  Proposal merge{Proposal::Kind::kMerge, Proposal::kNone, 1, 0};
  merge.agreement = 0.98;
  merge.samples = 2;
  const std::vector<Proposal> all = {relabel, merge, {Proposal::Kind::kSplit, 7, 2}};
  const std::string path = folder_.file("all.csv");
  write_proposals(path, all,
                  {[](std::int64_t i) { return "a,\"b\"/" + std::to_string(i); },
                   [](std::int64_t c) { return "n" + std::to_string(c); }});

  const auto lines = read_proposals(path);

  ASSERT_EQ(lines.size(), 3U);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].line, static_cast<std::int64_t>(i) + 2);
    EXPECT_EQ(lines[i].proposal.kind, all[i].kind);
    EXPECT_EQ(lines[i].proposal.index, all[i].index);
    EXPECT_EQ(lines[i].proposal.identity, all[i].identity);
    EXPECT_EQ(lines[i].proposal.proposed, all[i].proposed);
  }
  EXPECT_EQ(read_bytes(path),
            "kind,index,identity,name,proposed,proposed_name,probability,log_margin,agreement,"
            "samples,source\n"
            "relabel,3,1,n1,0,n0,0.75,2.5,,1,\"a,\"\"b\"\"/3\"\n"
            "merge,,1,n1,0,n0,,,0.98,2,\n"
            "split,7,2,n2,,,,,,1,\"a,\"\"b\"\"/7\"\n");
}

TEST_F(ProposalFile, MalformedFilesAreRefusedByLine) {
  const auto refused = [&](const std::string& text) {
    try {
      (void)lines(text);
    } catch (const PruneError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refused(""), HasSubstr("expected a header line"));
  EXPECT_THAT(refused("kind,index\n"), HasSubstr("no column 'identity'"));
  const std::string head = "kind,index,identity,proposed\n";
  EXPECT_EQ(refused(head), "") << "all lines deleted";
  EXPECT_EQ(refused(head + "\r\nrelabel,3,1,0\r\n"), "");
  EXPECT_THAT(refused(head + "move,3,1,0\n"), HasSubstr("line 2: kind is 'move'"));
  EXPECT_THAT(refused(head + "\nrelabel,3,1\n"), HasSubstr("line 3: 3 fields, fewer than"));
  EXPECT_THAT(refused(head + "relabel,x,1,0\n"),
              HasSubstr("line 2: index is 'x', expected a whole"));
  EXPECT_THAT(refused(head + "relabel,-1,1,0\n"), HasSubstr("index is '-1'"));
  EXPECT_THAT(refused(head + "merge,3,1,0\n"), HasSubstr("expected nothing for this kind"));
  EXPECT_THAT(refused(head + "split,3,1,0\n"), HasSubstr("proposed is '0', expected nothing"));
  EXPECT_THAT(refused(head + "relabel,\"3,1,0\n"), HasSubstr("not closed"));
}

TEST_F(ProposalFile, EveryKindIsApplied) {
  const AppliedProposals result = applied("relabel,0,0,1\nmerge,,3,1\nsplit,6,2,\nsplit,7,2,\n");

  EXPECT_THAT(result.labels, ElementsAre(1, 0, 0, 1, 1, 2, 3, 3, 1));
  EXPECT_THAT(result.label_map, ElementsAre(0, 1, 2, 1, -1));
  EXPECT_EQ(result.num_classes, 4);
  EXPECT_EQ(result.relabels, 1);
  EXPECT_EQ(result.merges, 1);
  EXPECT_EQ(result.splits, 1);
  EXPECT_EQ(result.split_samples, 2);
}

TEST_F(ProposalFile, MergesJoinOverSeveralLinesInAnyOrder) {
  for (const char* rows : {"merge,,1,0\nmerge,,3,1\n", "merge,,3,1\nmerge,,1,0\n"}) {
    const AppliedProposals result = applied(rows);
    EXPECT_THAT(result.labels, ElementsAre(0, 0, 0, 0, 0, 1, 1, 1, 0));
    EXPECT_THAT(result.label_map, ElementsAre(0, 0, 1, 0, -1));
  }
}

TEST_F(ProposalFile, AnIdentityWhoseSamplesAllLeaveVanishes) {
  const AppliedProposals result = applied("relabel,8,3,0\n");

  EXPECT_THAT(result.label_map, ElementsAre(0, 1, 2, -1, -1));
  EXPECT_EQ(result.num_classes, 3);
}

TEST_F(ProposalFile, LinesThatDoNotFitTheSetAreRefused) {
  EXPECT_THAT(refusal("relabel,9,3,0\n"), HasSubstr("line 2: index is 9"));
  EXPECT_THAT(refusal("relabel,0,0,5\n"), HasSubstr("proposed is 5, but the data set has"));
  EXPECT_THAT(refusal("relabel,0,7,1\n"), HasSubstr("identity is 7"));
  EXPECT_THAT(refusal("relabel,0,1,2\n"), HasSubstr("sample 0 has the label 0 in this data set"));
  EXPECT_THAT(refusal("merge,,1,1\n"), HasSubstr("both 1"));
}

TEST_F(ProposalFile, ConflictsNameBothLines) {
  EXPECT_THAT(refusal("relabel,0,0,1\nmerge,,1,3\nrelabel,0,0,2\n"),
              HasSubstr("sample 0 is in lines 2 and 4"));
  EXPECT_THAT(refusal("relabel,0,0,1\nsplit,0,0,\n"), HasSubstr("lines 2 and 3"));
  EXPECT_THAT(refusal("merge,,1,0\nmerge,,0,1\n"),
              HasSubstr("identities 0 and 1 are merged in lines 2 and 3"));
  EXPECT_THAT(refusal("split,0,0,\nmerge,,1,0\n"),
              HasSubstr("identity 0 is split in line 2 and merged in line 3"));
}

}  // namespace
}  // namespace diffprob::prune::tests
