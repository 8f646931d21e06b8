#include "data/check/check_dataset.h"

#include <algorithm>
#include <cctype>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/check/duplicate_search.h"
#include "data/open_dataset.h"
#include "data/records/pack_records.h"
#include "data/records/record_io.h"
#include "data/sets/label_map.h"
#include "tests/data/check/damage_cases.h"
#include "tests/data/check/damaged_records.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using test::DamageCase;
using test::face_jpeg;
using test::RecordFiles;
using test::short_text;
using test::TemporaryFolder;
using test::write_file;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

CheckOptions with_threads(int threads) {
  CheckOptions options;
  options.threads = threads;
  return options;
}

std::vector<std::string> found_in(const CheckReport& report) {
  std::vector<std::string> found;
  for (const auto& finding : report.findings) found.push_back(short_text(finding));
  return found;
}

std::string messages(const CheckReport& report) {
  std::string text = "training says: " + report.open_error + "\n";
  for (const auto& finding : report.findings)
    text += short_text(finding) + ": " + finding.message + "\n";
  return text;
}

std::vector<std::int64_t> sound_samples(const CheckReport& report) {
  std::vector<std::int64_t> sound;
  for (std::size_t i = 0; i < report.verdicts.size(); ++i)
    if (report.verdicts[i] == SampleVerdict::kSound) sound.push_back(static_cast<std::int64_t>(i));
  return sound;
}

/// The set without its bad samples: packed from what training opens, where it does, and from what
/// the check found. Both must be sound.
void expect_sound_rest(const CheckReport& report, const TemporaryFolder& folder) {
  const auto sound = sound_samples(report);
  static_cast<void>(pack_subset(report.samples, sound, {}, folder / "repaired"));
  const auto repaired = check_dataset(folder / "repaired", with_threads(1));
  EXPECT_THAT(found_in(repaired), IsEmpty()) << messages(repaired);
  EXPECT_EQ(repaired.open_error, "");
  EXPECT_EQ(repaired.samples->size(), static_cast<std::int64_t>(sound.size()));
  if (!report.open_error.empty() || report.opened_classes > kMostMappedClasses) return;
  static_cast<void>(pack_subset(open_dataset(report.path), sound, {}, folder / "kept"));
  EXPECT_EQ(open_dataset(folder / "kept")->fingerprint(),
            open_dataset(folder / "repaired")->fingerprint());
}

void expect_found(const DamageCase& damage) {
  SCOPED_TRACE(damage.name);
  const TemporaryFolder folder;
  auto files = RecordFiles::sound();
  damage.damage(files);
  files.write(folder / "set");

  const auto report = check_dataset(folder / "set", with_threads(2));

  EXPECT_THAT(found_in(report), UnorderedElementsAreArray(damage.found)) << messages(report);
  // What training refuses must not pass as sound.
  if (!report.open_error.empty()) {
    EXPECT_THAT(report.findings, ::testing::Not(IsEmpty())) << messages(report);
  }
  for (const auto& finding : report.findings)
    if (finding.index >= 0 && finding.offset >= 0) {
      EXPECT_THAT(report.samples->describe(finding.index),
                  HasSubstr("(offset " + std::to_string(finding.offset) + ")"));
    }
  expect_sound_rest(report, folder);
}

class Damage : public ::testing::TestWithParam<DamageCase> {};

TEST_P(Damage, IsFoundAndNothingElse) {
  expect_found(GetParam());
}

std::vector<DamageCase> all_cases() {
  std::vector<DamageCase> all;
  for (auto& group :
       {test::image_damage(), test::label_damage(), test::record_damage(), test::layout_damage(),
        test::index_damage(), test::damage_without_index(), test::im2rec_damage()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

std::string case_name(const ::testing::TestParamInfo<DamageCase>& info) {
  std::string name = info.param.name;
  std::erase_if(name, [](unsigned char c) { return c > 0x7e; });
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Planted, Damage, ::testing::ValuesIn(all_cases()), case_name);

TEST(DataCheck, FindsNothingInASoundSet) {
  const TemporaryFolder folder;
  RecordFiles::sound().write(folder / "set");

  const auto report = check_dataset(folder / "set", with_threads(2));

  EXPECT_THAT(found_in(report), IsEmpty()) << messages(report);
  EXPECT_EQ(report.open_error, "");
  EXPECT_EQ(report.fingerprint, open_dataset(folder / "set")->fingerprint());
  EXPECT_EQ(report.num_classes, test::kIdentities);
  EXPECT_EQ(report.samples->size(), test::kImages);
}

/// Many blocks, many threads, and all sorts of damage in one file: what is found does not depend on
/// the number of threads, and is what was planted.
TEST(DataCheck, FindsManyKindsOfDamageInOneLargeFile) {
  const TemporaryFolder folder;
  constexpr int kMany = 6000;
  test::RawRecords raw;
  std::vector<std::string> planted;
  std::vector<std::string> faces;
  for (int i = 0; i < 60; ++i) faces.push_back(face_jpeg(i));
  for (int i = 0; i < kMany; ++i) {
    const auto key = static_cast<std::uint64_t>(i);
    // A comment with the number makes every image another; some are split records.
    auto image = faces[static_cast<std::size_t>(i % 60)];
    image = image.substr(0, 2) + std::string("\xff\xfe\x00\x0a", 4) +
            test::number(key + 1000000007ull * key, 8) + image.substr(2);
    if (i % 7 == 0) image = test::with_magic(image);
    float label = static_cast<float>(i / 10);
    const auto plant = [&](const char* kind) {
      planted.push_back(std::string(kind) + " key " + std::to_string(i));
    };
    if (i % 101 == 5) image.resize(image.size() / 2), plant("truncated");
    if (i % 101 == 50) image[0] = 'x', plant("corrupt");
    if (i % 101 == 77) label = 0.25f, plant("label");
    raw.add(key, test::RawRecords::payload(0, label, key, {}, image));
  }
  for (int i = 60; i < kMany; i += 202) {
    raw.rec[raw.entries[static_cast<std::size_t>(i)].second] ^= 0x40;
    planted.push_back("record key " + std::to_string(i));
  }
  raw.write(folder / "train");
  ASSERT_GT(raw.rec.size(), std::size_t{3} << 22);

  const auto one = check_dataset(folder / "train.rec", with_threads(1));
  const auto three = check_dataset(folder / "train.rec", with_threads(3));

  EXPECT_THAT(found_in(one), UnorderedElementsAreArray(planted));
  EXPECT_EQ(messages(one), messages(three));
  EXPECT_EQ(one.verdicts, three.verdicts);
  expect_sound_rest(three, folder);
}

/// A record of more than a block (4 MiB), first, in the middle and last.
TEST(DataCheck, ReadsRecordsLongerThanABlock) {
  const TemporaryFolder folder;
  test::RawRecords raw;
  for (std::uint64_t key = 0; key < 5; ++key) {
    auto image = face_jpeg(static_cast<int>(key));
    if (key % 2 == 0) image += std::string((5 << 20) + key, '\0');
    raw.add_image(key, 0, image);
  }
  raw.write(folder / "train");

  const auto report = check_dataset(folder / "train.rec", with_threads(2));

  EXPECT_THAT(found_in(report), IsEmpty()) << messages(report);
  EXPECT_EQ(report.samples->size(), 5);
}

/// Single bits of heads and image headers flipped, everywhere: never a crash, always a finding at
/// that record, never one at a record further away than the next.
TEST(DataCheck, FindsEveryFlippedBitOfARecordsHead) {
  const TemporaryFolder folder;
  for (int bit = 0; bit < 8 * 20;
       ++bit) {  // magic, length, flag, label of the header (unused with flag 2), id
    if (bit / 32 == 3) continue;
    auto files = RecordFiles::sound();
    const auto offset = files.offset(8);
    files.rec[offset + static_cast<std::size_t>(bit / 8)] ^= static_cast<char>(1 << bit % 8);
    // A zero of the padding more behind the image harms nothing.
    const std::size_t length = files.payload(8).size();
    if (bit / 32 == 1 && bit % 32 < 2 && (length >> bit % 32 & 1) == 0 &&
        (length + 3) / 4 == (length + (1u << bit % 32) + 3) / 4)
      continue;
    files.write(folder / "set");

    const auto report = check_dataset(folder / "set", with_threads(1));

    SCOPED_TRACE("bit " + std::to_string(bit) + "\n" + messages(report));
    EXPECT_TRUE(std::ranges::any_of(report.findings, [&](const Finding& f) {
      return f.offset == static_cast<std::int64_t>(offset);
    }));
    for (const auto& finding : report.findings) EXPECT_EQ(finding.key, 8);
  }
}

TEST(DataCheck, LooksAtFoldersOfImages) {
  const TemporaryFolder folder;
  for (const char* name : {"set/a", "set/b", "set/c", "set/d"})
    std::filesystem::create_directories(folder / name);
  write_file(folder / "set/a/1.jpg", face_jpeg(1));
  write_file(folder / "set/a/2.jpg", face_jpeg(2).substr(0, 900));
  write_file(folder / "set/a/3.jpg", "");
  write_file(folder / "set/b/4.jpg", face_jpeg(4));
  write_file(folder / "set/b/5.jpg", face_jpeg(4));
  write_file(folder / "set/b/6.jpg", face_jpeg(1));
  write_file(folder / "set/d/7.jpg", face_jpeg(7, 50, 50));
  write_file(folder / "set/d/8.png", "no image");
  write_file(folder / "set/d/9.jpg", face_jpeg(9));

  const auto report = check_dataset(folder / "set", with_threads(2));

  std::vector<std::pair<std::string, std::int64_t>> found;
  for (const auto& finding : report.findings)
    found.emplace_back(name_of(finding.kind), finding.index);
  EXPECT_THAT(found, ElementsAre(std::pair("unreadable", 2), std::pair("corrupt", 7),
                                 std::pair("truncated", 1), std::pair("wrong_size", 6),
                                 std::pair("duplicate", 4), std::pair("conflict", 0),
                                 std::pair("conflict", 5), std::pair("empty_identity", -1)))
      << messages(report);
  EXPECT_THAT(report.open_error, HasSubstr("a class without images"));
  EXPECT_THAT(sound_samples(report), ElementsAre(3, 8));
  expect_sound_rest(report, folder);
}

TEST(DataCheck, LooksAtLists) {
  const TemporaryFolder folder;
  for (int i = 0; i < 4; ++i) write_file(folder / (std::to_string(i) + ".jpg"), face_jpeg(i));
  write_file(folder / "faces.lst",
             "0\t0\t0.jpg\n1\t0\t1.jpg\n2\tone\t2.jpg\nnonsense\n3\t1\t3.jpg\n3\t3\t2."
             "jpg\n5\t3\tgone.jpg\n");

  const auto report = check_dataset(folder / "faces.lst", with_threads(2));

  EXPECT_THAT(found_in(report),
              UnorderedElementsAreArray(
                  {"layout", "layout", "layout", "unreadable", "empty_identity labels 2 to 2"}))
      << messages(report);
  EXPECT_THAT(messages(report), HasSubstr("line 3"));
  EXPECT_THAT(messages(report), HasSubstr("line 4"));
  EXPECT_THAT(messages(report), HasSubstr("index 3 appears twice"));
  EXPECT_THAT(messages(report), HasSubstr("gone.jpg"));
  expect_sound_rest(report, folder);
}

TEST(DataCheck, TakesOtherSizesWhenTold) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "set/a");
  write_file(folder / "set/a/1.jpg", face_jpeg(1, 50, 60));
  CheckOptions any;
  any.image_size = 0;

  EXPECT_THAT(check_dataset(folder / "set", any).findings, IsEmpty());
  EXPECT_THAT(check_dataset(folder / "set", {}).findings, ::testing::SizeIs(1));
}

TEST(DataCheck, SaysWhatItCannotLookAt) {
  const TemporaryFolder folder;
  write_file(folder / "notes.md", "x");
  EXPECT_THAT(test::error_of([&] { static_cast<void>(check_dataset(folder / "nowhere", {})); }),
              HasSubstr("does not exist"));
  EXPECT_THAT(test::error_of([&] { static_cast<void>(check_dataset(folder / "notes.md", {})); }),
              HasSubstr("supported: "));
  EXPECT_THAT(test::error_of([&] { static_cast<void>(check_dataset(folder.path(), {})); }),
              HasSubstr("neither a train.rec nor sub-folders"));
}

TEST(DataCheck, FindsNothingToReadInAnEmptyFile) {
  const TemporaryFolder folder;
  write_file(folder / "train.rec", "");
  const auto report = check_dataset(folder / "train.rec", {});
  EXPECT_THAT(found_in(report), ElementsAre("layout"));
  EXPECT_THAT(messages(report), HasSubstr("no images"));
}

TEST(DataCheck, TellsHowFarItIs) {
  const TemporaryFolder folder;
  auto files = RecordFiles::sound();
  files.write(folder / "set");
  std::vector<CheckProgress> told;
  CheckOptions options;
  options.progress = [&](const CheckProgress& at) { told.push_back(at); };

  static_cast<void>(check_dataset(folder / "set", options));

  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().done, static_cast<std::int64_t>(files.rec.size()));
  EXPECT_EQ(told.back().total, told.back().done);
  EXPECT_EQ(told.back().images, test::kImages);
}

TEST(DataCheck, FindsNothingInRealSets) {
  const auto data = test::test_data();
  if (data.empty()) GTEST_SKIP() << "DIFFPROB_TEST_DATA is not set";
  const auto lfw = check_dataset(data + "/data/lfw", with_threads(2));
  EXPECT_THAT(found_in(lfw), IsEmpty()) << messages(lfw);
  EXPECT_EQ(lfw.samples->size(), 3602);
  EXPECT_EQ(lfw.num_classes, 151);
  EXPECT_EQ(lfw.fingerprint, open_dataset(data + "/data/lfw")->fingerprint());
  CheckOptions any;
  any.image_size = 0;
  const auto fixture = check_dataset(data + "/data/formats/train.rec", any);
  EXPECT_THAT(found_in(fixture), IsEmpty()) << messages(fixture);
  EXPECT_EQ(fixture.samples->size(), 8);
}

}  // namespace
}  // namespace diffprob::data
