#include "launch/observe/json_member.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffprob::launch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const nlohmann::json kObject = nlohmann::json::parse(R"({
  "whole": 7, "negative": -3, "fraction": 1.5, "float": 2.0, "huge": 1e300, "text": "seven",
  "most": 9223372036854775807, "more": 9223372036854775808, "int_and_one": 2147483648,
  "yes": true, "none": null, "list": [1]})");

TEST(JsonMember, ReadsWhatIsOfTheKind) {
  EXPECT_EQ(json_member<std::int64_t>(kObject, "whole"), 7);
  EXPECT_EQ(json_member<std::int64_t>(kObject, "negative"), -3);
  EXPECT_EQ(json_member<std::int64_t>(kObject, "most"), 9223372036854775807);
  EXPECT_EQ(json_member<std::uint64_t>(kObject, "more"), 9223372036854775808U);
  EXPECT_EQ(json_member<int>(kObject, "negative"), -3);
  EXPECT_EQ(json_member<double>(kObject, "fraction"), 1.5);
  EXPECT_EQ(json_member<double>(kObject, "whole"), 7.0);
  EXPECT_EQ(json_member<std::string>(kObject, "text"), "seven");
}

TEST(JsonMember, RefusesWhatACastWouldChange) {
  for (const char* key : {"fraction", "float", "huge", "text", "more", "yes", "none", "list"}) {
    EXPECT_THAT([&] { (void)json_member<std::int64_t>(kObject, key); },
                ThrowsMessage<std::runtime_error>(
                    AllOf(HasSubstr(std::string(key) + ": expected a whole number, found "),
                          HasSubstr(kObject.at(key).dump()))));
  }
  for (const char* key : {"negative", "float", "huge", "text"})
    EXPECT_THROW((void)json_member<std::uint64_t>(kObject, key), std::runtime_error) << key;
  EXPECT_THROW((void)json_member<int>(kObject, "int_and_one"), std::runtime_error);
  EXPECT_THROW((void)json_member<double>(kObject, "text"), std::runtime_error);
  EXPECT_THROW((void)json_member<std::string>(kObject, "whole"), std::runtime_error);
  EXPECT_THROW((void)json_member<std::int64_t>(kObject, "absent"), std::exception);
}

}  // namespace
}  // namespace diffprob::launch
