#include "data/files/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <stdio.h>

#include <filesystem>
#include <functional>
#include <utility>

#include "data/files/input_file.h"
#include "data/files/sha256.h"
#include "tests/data/test_files.h"

namespace {

std::function<void()> behind_next_rename;

}  // namespace

/// Stands before the C library's. What others do as soon as they see a file happens here, every
/// time.
extern "C" int rename(const char* from, const char* to) {
  const int result = ::renameat(AT_FDCWD, from, AT_FDCWD, to);
  if (const auto work = std::exchange(behind_next_rename, nullptr)) work();
  return result;
}

namespace diffprob::data {
namespace {

using test::TemporaryFolder;

std::size_t files_in(const std::string& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                                std::filesystem::directory_iterator()));
}

TEST(AtomicFile, AppearsOnCommitAlone) {
  const TemporaryFolder folder;
  test::write_file(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new");
    EXPECT_EQ(file.size(), 3);
    EXPECT_EQ(test::read_file(folder / "a"), "old");
    file.close();
    EXPECT_EQ(test::read_file(folder / "a"), "old");
    EXPECT_EQ(test::read_file(file.temporary_path()), "new");
    EXPECT_THROW(file.write("more"), DataError);
    file.commit();
    EXPECT_EQ(test::read_file(folder / "a"), "new");
  }
  EXPECT_EQ(test::read_file(folder / "a"), "new");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, VanishesWithoutCommit) {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "a");
    file.write("half");
    file.close();
  }
  EXPECT_EQ(files_in(folder.path()), 0u);
}

TEST(AtomicFile, LargeContentPassesTheBuffer) {
  const TemporaryFolder folder;
  std::string content(3'000'001, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 + i / 1000);
  AtomicFile file(folder / "a");
  for (std::size_t at = 0; at < content.size(); at += 777)
    file.write(std::string_view(content).substr(at, 777));
  file.commit();
  EXPECT_EQ(test::read_file(folder / "a"), content);
}

/// Another rank waits for the file and gives the folder its final name at once: that is no fault of
/// this writer's.
TEST(AtomicFile, TheFolderMayBeRenamedAsSoonAsTheFileIsThere) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "step.tmp");
  behind_next_rename = [&] { std::filesystem::rename(folder / "step.tmp", folder / "step"); };
  write_file_atomically(folder / "step.tmp/ready", "done");
  EXPECT_FALSE(behind_next_rename);
  EXPECT_EQ(test::read_file(folder / "step/ready"), "done");
}

TEST(InputFile, ReadsTextUpToALimit) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "four");

  EXPECT_EQ(read_text_file(folder / "a", 4), "four");
  EXPECT_THROW((void)read_text_file(folder / "a", 3), DataError);
  EXPECT_THROW((void)read_text_file(folder / "none", 4), DataError);
  EXPECT_THROW((void)read_text_file(folder.path(), 4), DataError);
}

TEST(AtomicFile, FolderMustExist) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      test::error_of([&] { write_file_atomically(folder / "absent/a", std::string_view("x")); }),
      ::testing::HasSubstr("absent/a"));
}

TEST(Sha256, PublishedVectors) {  // FIPS 180-4 examples
  EXPECT_EQ(Sha256().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 abc;
  abc.update("a");
  abc.update("bc");
  EXPECT_EQ(abc.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const TemporaryFolder folder;
  test::write_file(folder / "a", std::string(1'000'000, 'a'));
  EXPECT_EQ(sha256_file(folder / "a"),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  test::write_file(folder / "long", std::string(2'100'000, 'a'));
  Sha256 whole;
  whole.update(std::string(2'100'000, 'a'));
  EXPECT_EQ(sha256_file(folder / "long"), whole.hex());
  EXPECT_THROW(static_cast<void>(sha256_file(folder / "absent")), DataError);
}

TEST(Sha256, NumbersAreEightLittleEndianBytes) {
  Sha256 number, text;
  number.update(std::int64_t{258});
  text.update(std::string_view("\x02\x01\0\0\0\0\0\0", 8));
  EXPECT_EQ(number.hex(), text.hex());
}

}  // namespace
}  // namespace diffprob::data
