#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "launch/cli/commands.h"
#include "launch/cli/help_files.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;

/// Variables of the environment aside, no brace is left of the lines that are filled in.
bool is_filled_in(const std::string& text) {
  for (auto at = text.find('{'); at != std::string::npos; at = text.find('{', at + 1))
    if (at == 0 || text[at - 1] != '$') return false;
  return true;
}

void expect_fits(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
}

TEST(Help, EveryCommandHasATextThatFits) {
  for (const Command& command : commands()) {
    EXPECT_FALSE(help_file(command.name).empty()) << command.name;
    const std::string text = help_text(command.name);
    EXPECT_THAT(text, HasSubstr("diffprob " + command.name));
    EXPECT_TRUE(is_filled_in(text)) << text;
    expect_fits(text);
  }
}

TEST(Help, TheOverviewListsEveryCommand) {
  const std::string text = help_text("");
  for (const Command& command : commands())
    EXPECT_THAT(text, HasSubstr("\n  " + command.name + " "));
  EXPECT_TRUE(is_filled_in(text)) << text;
  EXPECT_EQ(help_text("nonsense"), text);
  expect_fits(text);
}

TEST(Help, ListsAreComputed) {
  for (const auto& method : prune::method_names())
    EXPECT_THAT(help_text("prune"), HasSubstr("\n  " + method + " "));
  EXPECT_THAT(help_text("convert"), HasSubstr("\n  cleanlab "));
  EXPECT_THAT(help_text("config"), HasSubstr(" train "));
}

TEST(Help, CommandsAreFoundByName) {
  EXPECT_TRUE(find_command("train")->needs_ranks());
  EXPECT_FALSE(find_command("export")->needs_ranks());
  EXPECT_EQ(find_command("trian"), nullptr);
}

}  // namespace
}  // namespace diffprob::launch
