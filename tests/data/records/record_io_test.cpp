#include "data/records/record_io.h"

#include <algorithm>
#include <limits>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/raw_records.h"

namespace diffprob::data {
namespace {

using test::error_of;
using test::image;
using test::kMagicBytes;
using test::RawRecords;
using test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// face2rec2 order: images, header, identities. Identity 0 has keys 1, 2; identity 1 has key 3.
RawRecords insightface_records() {
  RawRecords raw;
  raw.add_vector_image(1, 0, "first");
  raw.add_image(2, 0, "second image");
  raw.add_vector_image(3, 1, "x");
  raw.add_range(0, 4, 6);
  raw.add_range(4, 1, 3);
  raw.add_range(5, 3, 4);
  return raw;
}

void expect_insightface(const Dataset& set) {
  ASSERT_EQ(set.size(), 3);
  EXPECT_EQ(set.num_classes(), 2);
  EXPECT_EQ(set.label(0), 0);
  EXPECT_EQ(set.label(1), 0);
  EXPECT_EQ(set.label(2), 1);
  EXPECT_EQ(image(set, 0), "first");
  EXPECT_EQ(image(set, 1), "second image");
  EXPECT_EQ(image(set, 2), "x");
}

TEST(RecordFile, ReadsInsightFaceLayout) {
  const TemporaryFolder folder;
  insightface_records().write(folder / "train");
  const auto set = open_record_file(folder / "train.rec");
  expect_insightface(*set);
  EXPECT_EQ(set->describe(1), "train.rec record 2 (offset 48)");
  EXPECT_THROW(static_cast<void>(set->label(3)), DataError);
  EXPECT_THROW(static_cast<void>(set->label(-1)), DataError);
}

TEST(RecordFile, ScansWithoutIndex) {
  const TemporaryFolder folder;
  insightface_records().write(folder / "train", false);
  expect_insightface(*open_record_file(folder / "train.rec"));
}

TEST(RecordFile, OrderOfIndexDoesNotMatter) {
  const TemporaryFolder folder;
  auto raw = insightface_records();
  raw.write(folder / "train");
  const auto fingerprint = open_record_file(folder / "train.rec")->fingerprint();
  std::ranges::reverse(raw.entries);
  std::swap(raw.entries[1], raw.entries[4]);
  raw.write(folder / "train");
  const auto set = open_record_file(folder / "train.rec");
  expect_insightface(*set);
  EXPECT_EQ(set->fingerprint(), fingerprint);
}

TEST(RecordFile, PhysicalOrderMayDifferFromKeyOrder) {
  const TemporaryFolder folder;
  RawRecords raw;  // RecBuilder: identities first, images in any order, key 0 last
  raw.add_range(4, 1, 3);
  raw.add_range(5, 3, 4);
  raw.add_image(3, 1, "x");
  raw.add_image(1, 0, "first");
  raw.add_image(2, 0, "second image");
  raw.add_range(0, 4, 6);
  raw.write(folder / "train");
  expect_insightface(*open_record_file(folder / "train.rec"));
}

TEST(RecordFile, Im2recLayoutHasKeyZeroAndMayMissKeys) {
  const TemporaryFolder folder;
  RawRecords raw;
  raw.add_image(7, 2, "seven");
  raw.add_image(0, 1, "zero");
  raw.add(3, RawRecords::payload(3, 0.0f, 3, {4.0f, 0.5f, 0.25f}, "three"));
  raw.write(folder / "set");
  const auto set = open_record_file(folder / "set.rec");
  ASSERT_EQ(set->size(), 3);
  EXPECT_EQ(set->num_classes(), 5);
  EXPECT_EQ(image(*set, 0), "zero");
  EXPECT_EQ(image(*set, 1), "three");
  EXPECT_EQ(image(*set, 2), "seven");
  EXPECT_EQ(set->label(0), 1);
  EXPECT_EQ(set->label(1), 4);
  EXPECT_EQ(set->label(2), 2);
}

TEST(RecordFile, JoinsSplitRecords) {
  const TemporaryFolder folder;
  const std::vector<std::string> images = {
      kMagicBytes,                                         // nothing but the number
      "abcd" + kMagicBytes + "efgh" + kMagicBytes + "ij",  // start, middle, end
      kMagicBytes + kMagicBytes + kMagicBytes,             // empty middle parts
      "ab" + kMagicBytes + "cd",                           // not aligned: not split
      "abcd" + kMagicBytes,                                // empty last part
      "plain",
  };
  RawRecords raw;
  for (std::size_t i = 0; i < images.size(); ++i)
    raw.add_image(i, static_cast<float>(i), images[i]);
  raw.add(6, RawRecords::payload(0, 6.0f, 0xCED7230Aull, {},
                                 "id is the number"));  // split inside the image header
  raw.write(folder / "train");
  const auto set = open_record_file(folder / "train.rec");
  ASSERT_EQ(set->size(), 7);
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(image(*set, static_cast<std::int64_t>(i)), images[i]);
    EXPECT_EQ(set->label(static_cast<std::int64_t>(i)), static_cast<std::int64_t>(i));
  }
  EXPECT_EQ(image(*set, 6), "id is the number");
  EXPECT_EQ(set->label(6), 6);
}

TEST(RecordFile, BadContinuationIsAnError) {
  const TemporaryFolder folder;
  const auto payload = RawRecords::payload(0, 0.0f, 0, {}, "abcd");
  const std::vector<std::string> files = {
      RawRecords::part(1, payload),                                 // never ends
      RawRecords::part(1, payload) + RawRecords::part(1, "abcd"),   // starts twice
      RawRecords::part(1, payload) + RawRecords::part(0, payload),  // whole record inside
      RawRecords::part(1, payload + "ab") +
          RawRecords::part(3, "abcd"),  // odd length before the end
      RawRecords::part(2, payload),
      RawRecords::part(3, payload),
      RawRecords::part(5, payload),
  };
  for (const auto& content : files) {
    test::write_file(folder / "a.rec", content);
    EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "a.rec")); }),
                HasSubstr("a.rec, record at offset"));
  }
}

TEST(RecordFile, BadLabelsNameTheRecord) {
  const TemporaryFolder folder;
  const float labels[] = {-1.0f, 0.5f, std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(), 2147483648.0f};
  for (const float label : labels) {
    RawRecords raw;
    raw.add_image(0, 0, "a");
    raw.add_image(17, label, "b");
    raw.write(folder / "train");
    EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
                AllOf(HasSubstr("train.rec record 17 (offset 36)"), HasSubstr("whole number")));
    RawRecords with_vector;
    with_vector.add_vector_image(5, label, "b");
    with_vector.write(folder / "train");
    EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
                HasSubstr("record 5"));
  }
}

TEST(RecordFile, LabelFlagIsNotTrusted) {
  const TemporaryFolder folder;
  RawRecords raw;
  raw.add(0, RawRecords::payload(0xFFFFFFFFu, 0.0f, 0, {}, "abcdefgh"));
  raw.write(folder / "train");
  EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
              HasSubstr("4294967295 labels"));
}

TEST(RecordFile, PropertyMayAddClassesButNotRemoveThem) {
  const TemporaryFolder folder;
  insightface_records().write(folder / "train");
  test::write_file(folder / "property", "7,112,112\n3\n");
  EXPECT_EQ(open_record_file(folder / "train.rec")->num_classes(), 7);
  test::write_file(folder / "property", "1,112,112");
  EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
              AllOf(HasSubstr("label 1"), HasSubstr("1 classes")));
  for (const auto* bad : {"", "many", "-1,112,112", "99999999999,112,112", "3x,112,112"}) {
    test::write_file(folder / "property", bad);
    EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
                HasSubstr("property"))
        << bad;
  }
}

TEST(RecordFile, HeaderRecordMustFitTheImages) {
  const TemporaryFolder folder;
  RawRecords raw;
  raw.add_image(1, 0, "a");
  raw.add_image(2, 1, "b");
  raw.add_range(0, 4, 6);  // says three images
  raw.write(folder / "train");
  EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
              HasSubstr("2 images"));
  RawRecords missing;
  missing.add_image(1, 0, "a");
  missing.add_image(3, 1, "b");
  missing.add_range(0, 3, 5);
  missing.write(folder / "train");
  EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
              HasSubstr("the next record is 3"));
  RawRecords headless;
  headless.add_image(1, 0, "a");
  headless.add_range(2, 1, 2);
  headless.write(folder / "train");
  EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
              HasSubstr("no header record"));
}

TEST(RecordFile, IndexIsNotTrusted) {
  const TemporaryFolder folder;
  RawRecords raw;
  raw.add_image(0, 0, "aaaa");
  raw.add_image(1, 1, "bbbb");
  const auto second = std::to_string(raw.entries[1].second);
  const std::pair<std::string, std::string> cases[] = {
      {"", "no records"},
      {"0\t0\n", "continues"},
      {"1\t" + second + "\n", "missing"},
      {"0\t0\n1\t0\n", "same offset"},
      {"0\t0\n0\t" + second + "\n", "key 0"},
      {"0\t0\n1\t" + second + "\n2\t4000\n", "line 3"},
      {"0\t0\n1\t-4\n", "line 2"},
      {"0\t0\n1\t2\n", "line 2"},
      {"0\t0\n1\t4\n", "offset 4"},
      {"0\t0\n1 \n", "line 2"},
      {"x\t0\n", "line 1"},
      {"0\t0\n99999999999\t" + second + "\n", "line 2"},
      {"0\t0\n1\t99999999999999999999\n", "line 2"},
  };
  for (const auto& [idx, message] : cases) {
    raw.write(folder / "train");
    test::write_file(folder / "train.idx", idx);
    EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "train.rec")); }),
                HasSubstr(message))
        << idx;
  }
}

TEST(RecordFile, RepeatedIdsNeedAnIndex) {
  const TemporaryFolder folder;
  RawRecords raw;
  raw.add(0, RawRecords::payload(0, 0.0f, 0, {}, "a"));
  raw.add(1, RawRecords::payload(0, 1.0f, 0, {}, "b"));
  raw.write(folder / "train");
  EXPECT_EQ(open_record_file(folder / "train.rec")->size(), 2);
  raw.write(folder / "other", false);
  EXPECT_THAT(error_of([&] { static_cast<void>(open_record_file(folder / "other.rec")); }),
              HasSubstr("unique"));
}

/// Opens and reads everything. Either DataError, or exactly the samples of the whole file (or the
/// first of them).
void expect_error_or_prefix(const std::string& path, const std::vector<std::string>& images,
                            bool all) {
  try {
    const auto set = open_record_file(path);
    if (all) {
      ASSERT_EQ(set->size(), static_cast<std::int64_t>(images.size()));
    }
    ASSERT_LE(set->size(), static_cast<std::int64_t>(images.size()));
    for (std::int64_t i = 0; i < set->size(); ++i)
      EXPECT_EQ(image(*set, i), images[static_cast<std::size_t>(i)]);
  } catch (const DataError& error) {
    EXPECT_STRNE(error.what(), "");
  }
}

TEST(RecordFile, EveryTruncationIsNoticed) {
  const TemporaryFolder folder;
  const std::vector<std::string> images = {"first", "second image", "x"};
  const auto raw = insightface_records();
  raw.write(folder / "train");
  for (std::size_t length = 0; length < raw.rec.size();
       ++length) {  // with the whole index nothing may be lost
    test::write_file(folder / "train.rec", raw.rec.substr(0, length));
    EXPECT_THROW(static_cast<void>(open_record_file(folder / "train.rec")), DataError) << length;
  }
  std::filesystem::remove(folder / "train.idx");
  for (std::size_t length = 0; length < raw.rec.size(); ++length) {
    test::write_file(folder / "train.rec", raw.rec.substr(0, length));
    expect_error_or_prefix(folder / "train.rec", images, false);
  }
  raw.write(folder / "train");
  const auto idx = raw.idx();
  for (std::size_t length = 0; length < idx.size(); ++length) {
    test::write_file(folder / "train.idx", idx.substr(0, length));
    expect_error_or_prefix(folder / "train.rec", images, true);
  }
}

TEST(RecordFile, ByteFlipsNeverCrash) {
  const TemporaryFolder folder;
  auto raw = insightface_records();
  raw.add_image(6, 0, "abcd" + kMagicBytes + "efgh");
  for (const bool with_index : {true, false}) {
    raw.write(folder / "train", with_index);
    std::filesystem::remove(with_index ? folder / "none" : folder / "train.idx");
    for (std::size_t at = 0; at < raw.rec.size(); ++at) {
      for (const int value : {0x00, 0x01, 0x20, 0x7F, 0x80, 0xFF}) {
        auto damaged = raw.rec;
        damaged[at] = static_cast<char>(value);
        test::write_file(folder / "train.rec", damaged);
        try {
          const auto set = open_record_file(folder / "train.rec");
          for (std::int64_t i = 0; i < set->size(); ++i)
            EXPECT_LE(image(*set, i).size(), raw.rec.size());
        } catch (const DataError& error) {
          EXPECT_THAT(error.what(), HasSubstr("train."));
        }
      }
    }
  }
}

TEST(RecordFile, FingerprintFollowsLabelsAndPlaces) {
  const TemporaryFolder folder;
  std::vector<std::string> fingerprints;
  const auto note = [&](const RawRecords& raw) {
    raw.write(folder / "train");
    fingerprints.push_back(open_record_file(folder / "train.rec")->fingerprint());
    EXPECT_EQ(fingerprints.back().size(), 64u);
  };
  RawRecords a, b, c;
  a.add_image(0, 0, "aaaa");
  a.add_image(1, 1, "bbbb");
  b.add_image(0, 0, "aaaa");
  b.add_image(1, 2, "bbbb");
  c.add_image(0, 0, "aaa");
  c.add_image(1, 1, "bbbb");
  note(a);
  note(b);
  note(c);
  note(a);
  EXPECT_NE(fingerprints[0], fingerprints[1]);
  EXPECT_NE(fingerprints[0], fingerprints[2]);
  EXPECT_EQ(fingerprints[0], fingerprints[3]);
}

/// What RecordWriter wrote before records had scalar labels: scores and checkpoints made with such
/// a set belong to the set that is written today.
TEST(RecordWriter, TheFingerprintIsThatOfTheOlderFormWithTwoLabels) {
  const TemporaryFolder folder;
  const std::vector<std::pair<float, std::string>> images = {
      {0, "first"}, {0, "abc" + std::string(1, '!') + test::kMagicBytes + "tail"}, {1, "x"}};
  RawRecords older;
  RecordWriter writer(folder / "out", 112);
  std::uint64_t key = 0;
  for (const auto& [label, image] : images) {
    older.add_vector_image(++key, label, image);
    writer.add(static_cast<std::int64_t>(label), std::as_bytes(std::span(image)));
  }
  older.add_range(0, 4, 6);
  older.add_range(4, 1, 3);
  older.add_range(5, 3, 4);
  older.write(folder / "older");
  writer.finish();

  const auto written = open_record_file(folder / "out/train.rec")->fingerprint();

  EXPECT_EQ(written, open_record_file(folder / "older.rec")->fingerprint());
  std::filesystem::remove(folder / "out/train.idx");
  EXPECT_EQ(open_record_file(folder / "out/train.rec")->fingerprint(), written);
}

TEST(RecordWriter, BytesFollowTheLayout) {
  const TemporaryFolder folder;
  const std::string tricky = "abcd" + kMagicBytes + "efgh!";
  RecordWriter writer(folder / "out", 112);
  writer.add(0, test::bytes_of("first"));
  writer.add(0, test::bytes_of(tricky));
  writer.add(1, test::bytes_of("x"));
  writer.finish();
  RawRecords expected;
  expected.add_image(1, 0, "first");
  expected.add_image(2, 0, tricky);
  expected.add_image(3, 1, "x");
  expected.add(0, RawRecords::payload(2, 0, 0, {4, 6}, "", 0x316c6c6163736664));
  expected.add_range(4, 1, 3);
  expected.add_range(5, 3, 4);
  EXPECT_EQ(test::read_file(folder / "out/train.rec"), expected.rec);
  EXPECT_EQ(test::read_file(folder / "out/train.idx"), expected.idx());
  EXPECT_EQ(test::read_file(folder / "out/property"), "2,112,112\n");
}

TEST(RecordWriter, RoundTripOfRandomImages) {
  const TemporaryFolder folder;
  std::vector<std::pair<std::int64_t, std::string>> samples;
  unsigned state = 1;
  const auto random = [&state] { return (state = state * 1664525u + 1013904223u) >> 8; };
  std::int64_t label = 0;
  for (int i = 0; i < 200; ++i) {
    std::string content(1 + random() % 300, '\0');
    for (char& c : content) c = static_cast<char>(random());
    for (unsigned k = random() % 4; k > 0 && content.size() > 8; --k)
      content.replace(random() % (content.size() - 4), 4, kMagicBytes);
    if (i > 0 && random() % 5 == 0) ++label;
    samples.emplace_back(label, content);
  }
  RecordWriter writer(folder.path(), 112);
  for (const auto& [l, content] : samples) writer.add(l, test::bytes_of(content));
  writer.finish();
  for (const bool with_index : {true, false}) {
    if (!with_index) std::filesystem::remove(folder / "train.idx");
    const auto set = open_record_file(folder / "train.rec");
    ASSERT_EQ(set->size(), 200);
    EXPECT_EQ(set->num_classes(), label + 1);
    for (std::int64_t i = 0; i < 200; ++i) {
      EXPECT_EQ(set->label(i), samples[static_cast<std::size_t>(i)].first);
      EXPECT_EQ(image(*set, i), samples[static_cast<std::size_t>(i)].second);
    }
  }
}

TEST(RecordWriter, NothingStaysWithoutFinish) {
  const TemporaryFolder folder;
  {
    RecordWriter writer(folder / "out", 112);
    writer.add(0, test::bytes_of("a"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder / "out"));
}

TEST(RecordWriter, LabelsMustNotFallOrSkip) {
  const TemporaryFolder folder;
  RecordWriter writer(folder.path(), 112);
  EXPECT_THROW(writer.add(1, test::bytes_of("a")), DataError);
  EXPECT_THROW(writer.add(-1, test::bytes_of("a")), DataError);
  writer.add(0, test::bytes_of("a"));
  EXPECT_THROW(writer.add(2, test::bytes_of("a")), DataError);
  writer.add(1, test::bytes_of("a"));
  EXPECT_THROW(writer.add(0, test::bytes_of("a")), DataError);
  EXPECT_THROW(writer.add(1, {}), DataError);
  writer.finish();
  EXPECT_THROW(writer.add(1, test::bytes_of("a")), DataError);
  EXPECT_EQ(open_record_file(folder / "train.rec")->size(), 2);
  RecordWriter empty(folder / "empty", 112);
  EXPECT_THROW(empty.finish(), DataError);
}

}  // namespace
}  // namespace diffprob::data
