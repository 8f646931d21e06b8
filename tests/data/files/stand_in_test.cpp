#include "data/files/stand_in.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "data/files/input_file.h"
#include "data/files/text_lines.h"

namespace diffprob::data {
namespace {

using ::testing::HasSubstr;

std::string file_with(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string refusal(const std::string& path) {
  try {
    const InputFile file(path);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(StandIn, PagesAndPointersAreRefusedByEveryReaderWithWhatToDo) {
  const auto page = file_with("page.rec", "\n <!DOCTYPE html><html>");
  const auto small = file_with("small.rec", "\xEF\xBB\xBF<HTML>");
  const auto pointer = file_with(
      "pointer.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");

  EXPECT_THAT(refusal(page), HasSubstr("page.rec: is a web page (HTML)"));
  EXPECT_THAT(refusal(small), HasSubstr("by its direct link"));
  EXPECT_THAT(refusal(pointer), HasSubstr("`git lfs pull`"));
  EXPECT_THROW(TextLines lines(pointer), DataError);
}

TEST(StandIn, OtherFilesAreNot) {
  EXPECT_EQ(refusal(file_with("plain.txt", "version 2\n")), "");
  EXPECT_EQ(refusal(file_with("empty.txt", "")), "");
  EXPECT_EQ(stand_in_text("/nowhere/at/all"), "");
}

}  // namespace
}  // namespace diffprob::data
