// Event files: read back by a parser of our own, and by the tensorboard package where a Python has
// it.
#include "launch/observe/tensorboard.h"

#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/model/scratch_folder.h"
#include "tests/support/protobuf_fields.h"

namespace diffprob::launch {
namespace {

using Fields = tests::ProtobufFields;

/// Bit by bit, from the definition.
std::uint32_t slow_crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool low =
          ((crc ^ static_cast<std::uint32_t>(static_cast<unsigned char>(byte) >> bit)) & 1) != 0;
      crc >>= 1;
      if (low) crc ^= 0x82F63B78;
    }
  }
  return ~crc;
}

/// Events of a file; checks every frame. The last one may be torn.
std::vector<std::string> read_events(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  const auto number_at = [&](std::size_t position, std::size_t size) {
    std::uint64_t value = 0;
    std::memcpy(&value, content.data() + position, size);
    return value;
  };
  const auto masked = [](std::string_view bytes) {
    const std::uint32_t crc = slow_crc32c(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
  };
  std::vector<std::string> events;
  for (std::size_t at = 0; at + 12 <= content.size();) {
    const std::size_t length = number_at(at, 8);
    EXPECT_EQ(number_at(at + 8, 4), masked(std::string_view(content).substr(at, 8)));
    if (at + 16 + length > content.size()) break;
    events.push_back(content.substr(at + 12, length));
    EXPECT_EQ(number_at(at + 12 + length, 4), masked(events.back()));
    at += 16 + length;
  }
  return events;
}

TEST(Crc32c, KnownAndSlowValues) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += static_cast<char>(i * 7);
    ASSERT_EQ(crc32c(text), slow_crc32c(text)) << i;
  }
}

TEST(TensorBoard, EventsAreWhatTheFormatSays) {
  const tests::ScratchFolder folder;
  std::string path;
  {
    TensorBoard board(folder.file("logs/run"), 0);
    path = board.path();
    board.write(3, std::vector<TaggedValue>{{"train/loss", 2.5}, {"train/lr", 0.1}});
    board.write(5'000'000'000, std::vector<TaggedValue>{{"ok", std::nan("")}});
    board.write(6, {});
  }
  EXPECT_NE(std::filesystem::path(path).filename().string().find("tfevents"), std::string::npos);

  const auto events = read_events(path);

  ASSERT_EQ(events.size(), 3u);
  const Fields version(events[0]);
  EXPECT_EQ(version.texts.find(3)->second, "brain.Event:2");
  const Fields first(events[1]);
  EXPECT_EQ(first.numbers.find(2)->second, 3u);
  EXPECT_NEAR(first.fixed<double>(1), static_cast<double>(std::time(nullptr)), 60);
  std::map<std::string, float> values;
  const Fields summary(first.texts.find(5)->second);
  for (const auto& [field, text] : summary.texts) {
    EXPECT_EQ(field, 1);
    const Fields value(text);
    values[std::string(value.texts.find(1)->second)] = value.fixed<float>(2);
  }
  EXPECT_EQ(values, (std::map<std::string, float>{{"train/loss", 2.5f}, {"train/lr", 0.1f}}));
  EXPECT_EQ(Fields(events[2]).numbers.find(2)->second, 5'000'000'000u);
}

TEST(TensorBoard, OtherRanksWriteNothing) {
  TensorBoard none;
  none.write(1, std::vector<TaggedValue>{{"a", 1}});
  EXPECT_EQ(none.path(), "");
}

TEST(TensorBoard, ErrorsNameTheFile) {
  const tests::ScratchFolder folder;
  std::ofstream(folder.file("plain")) << "not a folder";
  try {
    TensorBoard board(folder.file("plain"), 0);
    FAIL() << "made an event file in a file";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(folder.file("plain")));
  }
}

/// A run that is killed at step 9 with a torn record, resumed at step 6, ended at 12.
void write_resumed_run(const std::string& folder) {
  std::string first;
  {
    TensorBoard board(folder, 0);
    first = board.path();
    for (int step = 1; step <= 9; ++step)
      board.write(step, std::vector<TaggedValue>{{"loss", 100 + step}, {"lr", 0.5 * step}});
  }
  std::filesystem::resize_file(first, std::filesystem::file_size(first) - 5);
  TensorBoard board(folder, 6);
  EXPECT_NE(board.path(), first);
  for (int step = 6; step <= 12; ++step)
    board.write(step, std::vector<TaggedValue>{{"loss", 200 + step}, {"lr", 0.5 * step}});
}

TEST(TensorBoard, ResumedRunStartsANewFileWithItsStep) {
  const tests::ScratchFolder folder;
  write_resumed_run(folder.file("run"));

  std::set<std::string> files;  // in the order of their names, as readers take them
  for (const auto& entry : std::filesystem::directory_iterator(folder.file("run")))
    files.insert(entry.path().string());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(read_events(*files.begin()).size(), 9u);  // the version, eight whole steps
  const auto events = read_events(*files.rbegin());
  ASSERT_EQ(events.size(), 9u);  // the version, the start, seven steps
  const Fields start(events[1]);
  EXPECT_EQ(start.numbers.find(2)->second, 6u);
  EXPECT_EQ(Fields(start.texts.find(7)->second).numbers.find(1)->second, 1u);  // SessionLog.START
}

/// Output of the script; nothing when no Python has tensorboard.
std::optional<std::string> read_by_tensorboard(const tests::ScratchFolder& folder) {
  const char* source = std::getenv("DIFFPROB_SOURCE_DIR");
  const std::string script =
      std::string(source != nullptr ? source : ".") + "/tests/launch/observe/read_event_files.py";
  for (const char* variable : {"DIFFPROB_TENSORBOARD_PYTHON", "DIFFPROB_PYTHON"}) {
    const char* python = std::getenv(variable);
    if (python == nullptr || *python == '\0') continue;
    const std::string output = folder.file("output.txt");
    const std::string command = "'" + std::string(python) + "' '" + script + "' '" +
                                folder.file("run") + "' > '" + output + "' 2> '" + output + ".err'";
    const int status = std::system(command.c_str());
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) continue;
    std::ifstream file(output);
    std::ifstream errors(output + ".err");
    EXPECT_EQ(status, 0) << std::string((std::istreambuf_iterator<char>(errors)), {});
    return std::string((std::istreambuf_iterator<char>(file)), {});
  }
  return std::nullopt;
}

TEST(TensorBoard, TheRealPackageReadsARunAndItsResume) {
  const tests::ScratchFolder folder;
  write_resumed_run(folder.file("run"));

  const auto printed = read_by_tensorboard(folder);
  if (!printed)
    GTEST_SKIP() << "no Python with the tensorboard package (DIFFPROB_TENSORBOARD_PYTHON or "
                    "DIFFPROB_PYTHON)";

  std::ostringstream wanted;
  for (int step = 1; step <= 12; ++step)
    wanted << "loss " << step << " " << (step < 6 ? 100 : 200) + step << ".0\n";
  for (int step = 1; step <= 12; ++step)
    wanted << "lr " << step << " " << step / 2 << (step % 2 == 0 ? ".0" : ".5") << "\n";
  EXPECT_EQ(*printed, wanted.str());
}

}  // namespace
}  // namespace diffprob::launch
