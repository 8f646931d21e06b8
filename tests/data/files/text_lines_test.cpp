#include "data/files/text_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"

namespace diffprob::data {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

std::vector<std::string_view> fields_of(std::string_view text, char separator) {
  std::vector<std::string_view> fields;
  split(text, separator, fields);
  return fields;
}

TEST(Split, TrimsFieldsBetweenSeparators) {
  EXPECT_THAT(fields_of("a, b ,,c", ','), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(fields_of("  a \t b ", ' '), ElementsAre("a", "b"));
  EXPECT_THAT(fields_of("", ','), ElementsAre(""));
  EXPECT_THAT(fields_of(" ", ' '), IsEmpty());
}

TEST(ParseNumber, TakesTheWholeTextOrNothing) {
  std::int64_t whole = 0;
  double real = 1;

  EXPECT_TRUE(parse_number("+12", whole));
  EXPECT_EQ(whole, 12);
  EXPECT_FALSE(parse_number("12x", whole));
  EXPECT_FALSE(parse_number("", whole));
  EXPECT_FALSE(parse_number("99999999999999999999", whole));
  EXPECT_TRUE(parse_number("1e-400", real));
  EXPECT_EQ(real, 0);
  EXPECT_FALSE(parse_number("1e400", real));
}

TEST(ParseKeyValues, ReadsOneKeyPerLine) {
  EXPECT_THAT(parse_key_values("a=1\nb=x=y\nc=\nd"),
              ElementsAre(Pair("a", "1"), Pair("b", "x=y"), Pair("c", ""), Pair("d", "")));
  EXPECT_THAT(parse_key_values(""), IsEmpty());
}

TEST(TextBody, SkipsTheMarkAndRefusesWideText) {
  using std::string_literals::operator""s;
  EXPECT_EQ(text_body("\xEF\xBB\xBFkey: 1", "a.yaml"), "key: 1");
  EXPECT_EQ(text_body("", "a.yaml"), "");
  EXPECT_EQ(text_body("\x80\0\0\0"s, "a.bin"), "\x80\0\0\0"s);
  for (const auto& wide : {"\xFF\xFE"
                           "0\0"s,
                           "\xFE\xFF\0"
                           "0"s,
                           "0\0\t\0"s,
                           "\0"
                           "0\0\t"s}) {
    try {
      static_cast<void>(text_body(wide, "train.idx"));
      ADD_FAILURE() << "taken as UTF-8";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("train.idx: expected UTF-8"),
                                                 ::testing::HasSubstr("iconv")));
    }
  }
}

TEST(Printable, ReplacesAndCuts) {
  EXPECT_EQ(printable("a\tb\xFF"), "a?b?");
  EXPECT_EQ(printable("abcdef", 3), "abc");
}

}  // namespace
}  // namespace diffprob::data
