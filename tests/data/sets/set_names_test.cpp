#include "data/sets/set_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"

namespace diffprob::data {
namespace {

using ::testing::ElementsAre;

TEST(SetNames, NamesAreThoseOfTheFilesWhereThatIsEnough) {
  EXPECT_THAT(set_names({"a/lfw.bin", "b/cfp_fp.bin", "c/pairs.pkl"}),
              ElementsAre("lfw", "cfp_fp", "pairs.pkl"));
}

TEST(SetNames, EqualNamesGetAsManyFoldersAsTellThemApart) {
  EXPECT_THAT(set_names({"a/lfw.bin", "b/lfw.bin", "b/agedb.bin"}),
              ElementsAre("a/lfw", "b/lfw", "agedb"));
  EXPECT_THAT(set_names({"/x/one/val/lfw.bin", "/x/two/val/lfw.bin", "/y/lfw.bin"}),
              ElementsAre("one/val/lfw", "two/val/lfw", "y/lfw"));
  EXPECT_THAT(set_names({"/lfw.bin", "/a/lfw.bin"}), ElementsAre("lfw", "a/lfw"));
}

TEST(SetNames, FoldersMayEndInASlash) {
  EXPECT_THAT(distinct_names({"/a/IJBC/", "/b/IJBC"}, {"IJB-C", "IJB-C"}),
              ElementsAre("a/IJB-C", "b/IJB-C"));
}

TEST(SetNames, OneFileTwiceIsRefused) {
  EXPECT_THROW((void)set_names({"a/lfw.bin", "a/../a/lfw.bin"}), DataError);
}

}  // namespace
}  // namespace diffprob::data
