#include "launch/report/copies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include "launch/observe/csv_field.h"
#include "tests/data/test_files.h"

namespace diffprob::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kColumns =
    "kind,by,similarity,distance,cosine,index_a,identity_a,sample_a,index_b,identity_b,sample_b\n";

TEST(CsvFields, ReadWhatWasWritten) {
  EXPECT_THAT(csv_fields("a,,\"b,c\",\"say \"\"no\"\"\","),
              ElementsAre("a", "", "b,c", "say \"no\"", ""));
  for (const std::string text : {"", "plain", "with, comma", "with \"quotes\"", "\"", ",\","})
    EXPECT_THAT(csv_fields(csv_field(text) + ",x"), ElementsAre(text, "x")) << text;
}

class CopiesTest : public ::testing::Test {
 protected:
  std::map<std::string, CopyPairs> read(const std::string& text, std::size_t shown = 2) {
    data::test::write_file(path_, text);
    return read_copies(path_, shown);
  }
  std::string error_of(const std::string& text) {
    return data::test::error_of([&] { static_cast<void>(read(text)); });
  }

  data::test::TemporaryFolder folder_;
  const std::string path_ = folder_ / "pairs.csv";
};

TEST_F(CopiesTest, KeepsTheLeastAlikeOfEachKind) {
  std::string text = kColumns;
  for (int i = 0; i < 9; ++i)
    text += fmt::format("near,pixels,{},3,,{},0,a{},{},0,\"b,{}\"\n", 0.9 + 0.01 * ((i * 4) % 9), i,
                        i, i + 100, i);
  text += "across,embedding,,,0.97,5,0,a5,7,1,b7\n";

  const auto copies = read(text);

  ASSERT_EQ(copies.size(), 2U);
  EXPECT_EQ(copies.at("near").count, 9);
  ASSERT_EQ(copies.at("near").shown.size(), 2U);
  EXPECT_EQ(copies.at("near").shown[0].index, 0);  // 0.90
  EXPECT_EQ(copies.at("near").shown[1].index, 7);  // 0.91
  EXPECT_EQ(copies.at("near").shown[1].other_index, 107);
  EXPECT_EQ(copies.at("near").shown[1].other_name, "b,7");
  const CopyPair& across = copies.at("across").shown.at(0);
  EXPECT_EQ(across.by, "embedding");
  EXPECT_DOUBLE_EQ(across.likeness, 0.97);
}

TEST_F(CopiesTest, OfTestSets) {
  const auto copies = read(
      "by,similarity,distance,cosine,index,identity,sample,test_image\n"
      "both,0.98,4,0.99,12,3,train.rec record 13,lfw image 7 (pair 3)\n");
  const CopyPair& leak = copies.at("leak").shown.at(0);
  EXPECT_EQ(leak.index, 12);
  EXPECT_EQ(leak.other_index, -1);
  EXPECT_EQ(leak.other_name, "lfw image 7 (pair 3)");
  EXPECT_TRUE(read(kColumns).empty());
}

TEST_F(CopiesTest, NamesTheLineThatIsWrong) {
  EXPECT_THAT(error_of(""), HasSubstr("names of the columns"));
  EXPECT_THAT(error_of("kind,by\n"), HasSubstr("a column similarity"));
  EXPECT_THAT(error_of(std::string(kColumns) + "near,pixels,0.9\n"), HasSubstr("line 2"));
  EXPECT_THAT(error_of(std::string(kColumns) + "near,pixels,0.9,3,,x,0,a,1,0,b\n"),
              HasSubstr("a number as index_a"));
}

}  // namespace
}  // namespace diffprob::launch
