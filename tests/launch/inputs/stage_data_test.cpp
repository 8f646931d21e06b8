#include "launch/inputs/stage_data.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>

#include "data/error.h"
#include "data/open_dataset.h"
#include "data/staging/dataset_files.h"
#include "data/staging/staged_copy.h"
#include "launch/job/file_lock.h"
#include "tests/data/raw_records.h"
#include "tests/support/mpi_world.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using data::DataError;
using data::StagedCopy;
using data::test::read_file;
using data::test::TemporaryFolder;
using data::test::write_file;
using ::testing::HasSubstr;

/// Some 9 MB: three parts of a .rec, and one each of .idx and property.
void write_set(const std::string& folder, unsigned seed = 1) {
  fs::create_directories(folder);
  std::mt19937_64 random(seed);
  std::string noise;
  for (int i = 0; i < 1000; ++i) noise += data::test::number(random(), 8);
  data::test::RawRecords raw;
  for (std::uint64_t key = 0; key < 9; ++key) {
    std::string image = "image " + std::to_string(key);
    for (int i = 0; i < 125; ++i) image += noise;
    raw.add_image(key, static_cast<float>(key / 2), image);
  }
  raw.write(folder + "/train");
  write_file(folder + "/property", "21,112,112\n");
}

/// Folders that all ranks see; rank 0 makes and removes them.
class Staging : public ::testing::Test {
 protected:
  Staging() {
    if (control_.rank() == 0) folder_.emplace();
    root_ = control_.broadcast(folder_ ? folder_->path() : "", 0);
    if (control_.rank() == 0) write_set(source());
    control_.barrier("set written");
  }
  ~Staging() override { control_.barrier("all done"); }

  [[nodiscard]] std::string source() const { return root_ + "/set"; }
  [[nodiscard]] std::string stage_dir() const { return root_ + "/stage"; }
  [[nodiscard]] NodePlace one_node() const {
    return {0, control_.rank(), control_.world_size(), "node0"};
  }
  /// As if each rank stood on a node of its own.
  [[nodiscard]] NodePlace own_node() const {
    return {control_.rank(), 0, 1, "node" + std::to_string(control_.rank())};
  }

  std::string stage(const std::string& folder, const NodePlace& place) {
    return stage_datasets({source()}, folder, place, control_).at(0);
  }
  std::string error_of_stage(const std::string& folder, const NodePlace& place) {
    try {
      static_cast<void>(stage(folder, place));
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }
  void expect_copy(const std::string& staged) {
    EXPECT_NE(staged, source());
    for (const char* name : {"/train.rec", "/train.idx", "/property"})
      EXPECT_TRUE(read_file(staged + name) == read_file(source() + name)) << name;
    EXPECT_EQ(data::open_dataset(staged)->fingerprint(),
              data::open_dataset(source())->fingerprint());
  }
  /// Rank 0 does something to files while the others wait.
  template <typename Action>
  void alone(const Action& action) {
    control_.barrier("before");
    if (control_.rank() == 0) action();
    control_.barrier("after");
  }

  dist::HostCollectives control_;
  std::optional<TemporaryFolder> folder_;
  std::string root_;
};

TEST_F(Staging, CopiesOnceAndUsesTheCopyAgain) {
  const auto staged = stage(stage_dir(), one_node());
  control_.barrier("copied");
  expect_copy(staged);
  const auto written = fs::last_write_time(staged + "/train.rec");

  EXPECT_EQ(stage(stage_dir(), one_node()), staged);

  EXPECT_EQ(fs::last_write_time(staged + "/train.rec"), written);
}

TEST_F(Staging, ReplacesWhatIsBrokenAndGoesOnWithWhatIsMissing) {
  const auto staged = stage(stage_dir(), one_node());
  const std::vector<std::function<void()>> damages = {
      [&] {
        auto rec = read_file(staged + "/train.rec");
        rec[5'000'000] ^= 1;
        write_file(staged + "/train.rec", rec);
      },
      [&] { fs::resize_file(staged + "/train.rec", 4'500'000); },
      [&] { fs::resize_file(staged + "/train.rec", 12'000'000); },
      [&] { fs::remove(staged + "/train.idx"); },
      [&] { write_file(staged + "/property", "xx,112,112\n"); },
      [&] { fs::remove(staged + "/parts.sha256"); },
      [&] { fs::resize_file(staged + "/parts.sha256", 40); },
      [&] { write_file(staged + "/parts.sha256", std::string(160, 'x')); },
  };
  for (std::size_t i = 0; i < damages.size(); ++i) {
    SCOPED_TRACE("damage " + std::to_string(i));
    alone(damages[i]);

    EXPECT_EQ(stage(stage_dir(), one_node()), staged);

    control_.barrier("copied");
    expect_copy(staged);
  }
}

TEST_F(Staging, CopiesToEveryNode) {
  const auto own_dir = stage_dir() + std::to_string(control_.rank());
  const auto staged = stage(own_dir, own_node());
  EXPECT_THAT(staged, HasSubstr(own_dir));
  expect_copy(staged);
}

/// A stage_dir that nodes share by mistake: one copies, the others wait for it.
TEST_F(Staging, NodesThatShareAFolderWaitForEachOther) {
  const auto staged = stage(stage_dir(), own_node());
  expect_copy(staged);
}

TEST_F(Staging, WaitsForAnotherJob) {
  const auto folder = stage(stage_dir(), one_node());
  std::optional<FileLock> lock;
  std::jthread other;
  alone([&] {
    lock = FileLock::try_lock(folder + ".lock");
    ASSERT_TRUE(lock.has_value());
    EXPECT_FALSE(FileLock::try_lock(folder + ".lock").has_value());
    other = std::jthread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(700));
      lock.reset();
    });
  });
  const auto start = std::chrono::steady_clock::now();

  EXPECT_EQ(stage(stage_dir(), one_node()), folder);

  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(400));
}

TEST_F(Staging, AChangedSourceGetsACopyOfItsOwn) {
  const auto first = stage(stage_dir(), one_node());
  alone([&] { write_set(source(), 2); });

  const auto second = stage(stage_dir(), one_node());

  EXPECT_NE(first, second);
  control_.barrier("copied");
  expect_copy(second);
}

TEST_F(Staging, AnErrorOnOneNodeIsThrownOnAll) {
  const auto last = control_.world_size() - 1;
  const auto own_dir = stage_dir() + std::to_string(control_.rank());
  if (control_.rank() == last) write_file(own_dir, "a file in the way");

  const auto message = error_of_stage(own_dir, own_node());

  EXPECT_THAT(message, HasSubstr("node" + std::to_string(last) + ": "));
  EXPECT_THAT(message, HasSubstr("stage" + std::to_string(last)));
}

TEST_F(Staging, ASourceThatIsNoDataSetIsAnErrorOnAll) {
  alone([&] { fs::remove_all(source()); });
  EXPECT_THAT(error_of_stage(stage_dir(), one_node()), HasSubstr("does not exist"));
}

TEST_F(Staging, CopiesFoldersOfImagesAndLists) {
  alone([&] {
    for (const char* name : {"/faces/a", "/faces/b"}) fs::create_directories(root_ + name);
    for (const char* name : {"/faces/a/1.jpg", "/faces/a/2.jpg", "/faces/b/1.jpg"})
      write_file(root_ + name, name);
    write_file(root_ + "/faces/some.lst", "0\t0\ta/2.jpg\n1\t1\tb/1.jpg\n2\t1\tb/1.jpg\n");
    write_file(root_ + "/faces/outside.lst", "0\t0\t../set/property.jpg\n");
  });

  const auto staged = stage_datasets({root_ + "/faces", root_ + "/faces/some.lst"}, stage_dir(),
                                     one_node(), control_);

  for (std::size_t i = 0; i < 2; ++i) {
    const auto path = root_ + (i == 0 ? "/faces" : "/faces/some.lst");
    EXPECT_EQ(data::open_dataset(staged[i])->fingerprint(),
              data::open_dataset(path)->fingerprint());
    EXPECT_FALSE(staged[i].starts_with(root_ + "/faces"));
  }
  const auto here = fs::current_path();
  fs::current_path(root_ + "/faces");
  EXPECT_EQ(data::list_dataset_files("some.lst").folder, root_ + "/faces");
  fs::current_path(here);
  EXPECT_THAT(data::test::error_of([&] {
                static_cast<void>(data::list_dataset_files(root_ + "/faces/outside.lst"));
              }),
              HasSubstr("outside the folder"));
}

TEST_F(Staging, ComparesWhatRanksOpened) {
  const auto set = data::open_dataset(source());
  EXPECT_NO_THROW(check_same_dataset(*set, "faces", own_node(), control_));
  if (control_.world_size() == 1) return;
  if (control_.rank() == 1) write_set(root_ + "/other", 1);
  if (control_.rank() == 1) write_file(root_ + "/other/property", "30,112,112\n");

  const auto own = control_.rank() == 1 ? data::open_dataset(root_ + "/other") : set;
  const auto other = own->fingerprint().substr(0, 16);
  const auto message =
      data::test::error_of([&] { check_same_dataset(*own, "faces", own_node(), control_); });

  EXPECT_THAT(message, HasSubstr("faces is not the same data set on all ranks"));
  EXPECT_THAT(message, HasSubstr("node1 (node of rank 1): fingerprint "));
  EXPECT_THAT(message, HasSubstr("9 images of 30 identities; ranks 1"));
  EXPECT_THAT(message, HasSubstr("9 images of 21 identities; ranks 0"));
  EXPECT_THAT(message, HasSubstr(other));
  EXPECT_THAT(message, HasSubstr("data.stage_dir"));
}

TEST_F(Staging, CopiesOnlyThePartsThatAreMissing) {
  if (control_.rank() != 0) return;
  const auto files = data::list_dataset_files(source());
  StagedCopy copy(files, root_ + "/copy");
  ASSERT_EQ(copy.parts(), 5);
  copy.prepare();
  EXPECT_EQ(copy.bring(1), StagedCopy::Outcome::kCopied);
  EXPECT_EQ(copy.bring(3), StagedCopy::Outcome::kCopied);

  StagedCopy again(data::deserialize_dataset_files(data::serialize(files)), root_ + "/copy");
  again.prepare();

  for (std::int64_t part = 0; part < 5; ++part)
    EXPECT_EQ(again.bring(part),
              part % 2 == 1 ? StagedCopy::Outcome::kWasThere : StagedCopy::Outcome::kCopied)
        << part;
  expect_copy(again.entry());
}

TEST_F(Staging, SaysHowMuchRoomIsMissing) {
  if (control_.rank() != 0) return;
  struct statvfs room {};
  ASSERT_EQ(::statvfs(root_.c_str(), &room), 0);
  const auto free =
      static_cast<std::int64_t>(room.f_bavail) * static_cast<std::int64_t>(room.f_frsize);
  const data::DatasetFiles files{source(), "", {{"train.rec", free + (std::int64_t{1} << 33), 0}}};
  const auto message = data::test::error_of([&] { StagedCopy(files, root_ + "/copy").prepare(); });
  EXPECT_THAT(message, HasSubstr("MiB are needed"));
  EXPECT_THAT(message, HasSubstr("MiB are free"));
  EXPECT_FALSE(fs::exists(root_ + "/copy/train.rec"));
}

TEST_F(Staging, NoticesASourceThatChangesOnTheWay) {
  if (control_.rank() != 0) return;
  StagedCopy copy(data::list_dataset_files(source()), root_ + "/copy");
  copy.prepare();
  write_file(source() + "/property", "2100,112,112\n");
  EXPECT_THAT(data::test::error_of([&] { static_cast<void>(copy.bring(4)); }),
              HasSubstr("is it still being written?"));
}

}  // namespace
}  // namespace diffprob::launch
