// Packing a set or a part of one: our reader and a short Python reader see the same samples as the
// source.
#include "data/records/pack_records.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/open_dataset.h"
#include "data/records/record_io.h"
#include "data/sets/relabelled.h"
#include "tests/data/raw_records.h"

namespace diffprob::data {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kImages = 40;
constexpr std::int64_t kClasses = 7;

/// Image i of the source: any bytes; some hold the magic number where records are split, some in a
/// row.
std::string image(std::int64_t i) {
  std::string bytes;
  for (std::int64_t j = 0; j < 5 + i * 3; ++j) bytes += static_cast<char>((i * 31 + j * 7) % 256);
  if (i % 5 == 0)
    bytes = bytes.substr(0, 4) + test::kMagicBytes + (i % 10 == 0 ? test::kMagicBytes : "") + bytes;
  return bytes;
}

/// Labels are neither sorted nor in runs: an im2rec file.
std::int64_t label(std::int64_t i) {
  return i * 5 % kClasses;
}

class PackRecords : public ::testing::Test {
 protected:
  void SetUp() override {
    test::RawRecords source;
    for (std::int64_t i = 0; i < kImages; ++i)
      source.add_image(static_cast<std::uint64_t>(i), static_cast<float>(label(i)), image(i));
    std::filesystem::create_directory(folder_ / "source");
    source.write(folder_ / "source/train");
    source_ = open_dataset(folder_ / "source");
    ASSERT_EQ(source_->size(), kImages);
    ASSERT_EQ(source_->num_classes(), kClasses);
  }
  std::string refusal(const std::vector<std::int64_t>& kept,
                      const std::vector<std::int64_t>& label_map = {}) {
    return test::error_of(
        [&] { static_cast<void>(pack_subset(source_, kept, label_map, folder_ / "out")); });
  }
  std::vector<std::int64_t> source_index() const {
    std::istringstream text(test::read_file(folder_ / "out/source_index.txt"));
    std::vector<std::int64_t> indices;
    for (std::int64_t index = 0; text >> index;) indices.push_back(index);
    return indices;
  }
  test::TemporaryFolder folder_;
  std::shared_ptr<const Dataset> source_;
};

/// What must come out: kept samples by label, then by index; labels dense. Straight from the
/// description.
struct Expected {
  std::vector<std::int64_t> old_index;
  std::map<std::int64_t, std::int64_t> label_map;
};
Expected expected(const std::vector<std::int64_t>& kept) {
  Expected result;
  for (std::int64_t c = 0; c < kClasses; ++c) {
    for (std::int64_t i = 0; i < kImages; ++i) {
      if (label(i) != c || std::find(kept.begin(), kept.end(), i) == kept.end()) continue;
      result.old_index.push_back(i);
      result.label_map.emplace(c, static_cast<std::int64_t>(result.label_map.size()));
    }
  }
  return result;
}

/// Every sample of classes other than 2 and 5 whose index is not a multiple of 3.
std::vector<std::int64_t> some() {
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < kImages; ++i) {
    if (i % 3 != 0 && label(i) != 2 && label(i) != 5) kept.push_back(i);
  }
  return kept;
}

TEST_F(PackRecords, ASubsetOpensWithTheSameBytesAndDenseLabels) {
  const Expected wanted = expected(some());

  const PackedSet packed = pack_subset(source_, some(), {}, folder_ / "out");

  EXPECT_EQ(packed.images, static_cast<std::int64_t>(some().size()));
  EXPECT_EQ(packed.identities, 5);
  const auto read = open_dataset(folder_ / "out");
  ASSERT_EQ(read->size(), packed.images);
  EXPECT_EQ(read->num_classes(), 5);
  EXPECT_EQ(source_index(), wanted.old_index);
  EXPECT_EQ(test::read_file(folder_ / "out/label_map.txt"), "{0: 0, 1: 1, 3: 2, 4: 3, 6: 4}\n");
  std::vector<std::byte> bytes;
  for (std::int64_t k = 0; k < read->size(); ++k) {
    const auto old = wanted.old_index[static_cast<std::size_t>(k)];
    read->read(k, bytes);
    EXPECT_EQ(test::text_of(bytes), image(old)) << k;
    EXPECT_EQ(read->label(k), wanted.label_map.at(label(old))) << k;
  }
}

TEST_F(PackRecords, TheLabelMapOfAnIndexSetIsUsed) {
  pack_subset(source_, some(), {0, 1, -1, 2, 3, -1, 4}, folder_ / "out");
  EXPECT_EQ(open_dataset(folder_ / "out")->num_classes(), 5);
  EXPECT_EQ(test::read_file(folder_ / "out/label_map.txt"), "{0: 0, 1: 1, 3: 2, 4: 3, 6: 4}\n");
}

TEST_F(PackRecords, NewLabelsArePackedWithTheirSources) {
  const auto new_label = [](std::int64_t i) { return (label(i) + i % 2) % 3; };
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < kImages; ++i) labels.push_back(new_label(i));
  const Relabelled relabelled(source_, labels, 3);

  const PackedSet packed = pack_relabelled(relabelled, {0, 1, 2, -1, 0, 1, 2}, folder_ / "out");

  EXPECT_EQ(packed.images, kImages);
  EXPECT_EQ(packed.identities, 3);
  EXPECT_NE(relabelled.fingerprint(), source_->fingerprint());
  const auto read = open_dataset(folder_ / "out");
  const auto sources = source_index();
  ASSERT_EQ(sources.size(), static_cast<std::size_t>(kImages));
  std::vector<std::byte> bytes;
  for (std::int64_t k = 0; k < kImages; ++k) {
    read->read(k, bytes);
    EXPECT_EQ(test::text_of(bytes), image(sources[static_cast<std::size_t>(k)]));
    EXPECT_EQ(read->label(k), new_label(sources[static_cast<std::size_t>(k)]));
  }
  EXPECT_EQ(test::read_file(folder_ / "out/label_map.txt"),
            "{0: 0, 1: 1, 2: 2, 4: 0, 5: 1, 6: 2}\n");
  labels.pop_back();
  EXPECT_THAT(test::error_of([&] { Relabelled(source_, labels, 3); }), HasSubstr("39 samples"));
  labels.push_back(3);
  EXPECT_THAT(test::error_of([&] { Relabelled(source_, labels, 3); }), HasSubstr("new label 3"));
}

TEST_F(PackRecords, AWholeSetIsPackedByLabel) {
  std::vector<std::int64_t> all(kImages);
  for (std::int64_t i = 0; i < kImages; ++i) all[static_cast<std::size_t>(i)] = i;
  const Expected wanted = expected(all);

  pack_records(*source_, folder_ / "out");

  const auto read = open_dataset(folder_ / "out");
  ASSERT_EQ(read->size(), kImages);
  std::vector<std::byte> bytes;
  for (std::int64_t k = 0; k < kImages; ++k) {
    read->read(k, bytes);
    EXPECT_EQ(test::text_of(bytes), image(wanted.old_index[static_cast<std::size_t>(k)]));
    EXPECT_EQ(read->label(k), label(wanted.old_index[static_cast<std::size_t>(k)]));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/label_map.txt"));
}

TEST_F(PackRecords, WhatDoesNotFitIsRefusedAndLeavesNothing) {
  EXPECT_THAT(refusal({}), HasSubstr("keeps no sample"));
  EXPECT_THAT(refusal({0, kImages}), HasSubstr("index 40 is not below 40"));
  EXPECT_THAT(refusal({-1}), HasSubstr("index -1 is not below"));
  EXPECT_THAT(refusal({3, 3}), HasSubstr("index 3 appears twice"));
  EXPECT_THAT(refusal({0}, {-1, 0, 1, 2, 3, 4, 5}), HasSubstr("has no mapping"));
  EXPECT_THAT(refusal({0}, {0}), HasSubstr("a label map of 1 for 7 classes"));
  EXPECT_THAT(refusal({0, 3}, {4, 5, -1, 0, 1, 2, 3}), HasSubstr("labels must come in order"));
  const auto out = folder_ / "out";
  EXPECT_TRUE(!std::filesystem::exists(out) || std::filesystem::is_empty(out));
}

/// A packing that fails in the middle leaves an older one as it was.
TEST_F(PackRecords, AnOlderSetStaysWhenThePackingFails) {
  pack_subset(source_, some(), {}, folder_ / "out");
  const auto before = test::read_file(folder_ / "out/train.rec") +
                      test::read_file(folder_ / "out/source_index.txt");

  static_cast<void>(refusal({0, 3}, {4, 5, -1, 0, 1, 2, 3}));

  EXPECT_EQ(test::read_file(folder_ / "out/train.rec") +
                test::read_file(folder_ / "out/source_index.txt"),
            before);
}

/// Bytes in hex.
std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

/// What tests/data/read_records.py prints about OUT; empty without a Python.
class PythonReader : public PackRecords {
 protected:
  void SetUp() override {
    PackRecords::SetUp();
    if (python_ == nullptr || *python_ == '\0' || sources_ == nullptr)
      GTEST_SKIP() << "DIFFPROB_PYTHON is not set: no Python to read records with";
  }
  std::string seen(const std::string& options) {
    const std::string command = "'" + std::string(python_) + "' '" + sources_ +
                                "/tests/data/read_records.py' '" + (folder_ / "out") + "' " +
                                options + " > '" + (folder_ / "seen") + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return test::read_file(folder_ / "seen");
  }

 private:
  const char* python_ = std::getenv("DIFFPROB_PYTHON");
  const char* sources_ = std::getenv("DIFFPROB_SOURCE_DIR");
};

TEST_F(PythonReader, SeesTheSameInsightFaceLayout) {
  const Expected wanted = expected(some());
  pack_subset(source_, some(), {}, folder_ / "out");

  std::ostringstream lines;
  std::map<std::int64_t, std::pair<std::size_t, std::size_t>> keys;  // of each new label
  for (std::size_t k = 0; k < wanted.old_index.size(); ++k) {
    const auto old = wanted.old_index[k];
    const auto now = wanted.label_map.at(label(old));
    lines << k + 1 << ' ' << now << ' ' << hex(image(old)) << '\n';
    if (!keys.contains(now)) keys[now].first = k + 1;
    keys[now].second = k + 2;
  }
  for (const auto& [now, span] : keys)
    lines << "class " << span.first << ' ' << span.second << '\n';
  EXPECT_EQ(seen(""), lines.str());
}

/// The data set class of arcface_torch stops at labels that are arrays.
TEST_F(PythonReader, TheDataSetClassOfOthersTakesEveryLabelAsANumber) {
  const Expected wanted = expected(some());
  pack_subset(source_, some(), {}, folder_ / "out");

  std::ostringstream lines;
  for (std::size_t k = 0; k < wanted.old_index.size(); ++k)
    lines << k << ' ' << wanted.label_map.at(label(wanted.old_index[k])) << ' '
          << hex(image(wanted.old_index[k])) << '\n';
  EXPECT_EQ(seen("--samples"), lines.str());
}

TEST_F(PythonReader, AnIm2recLayoutIsReadInItsShuffledOrder) {
  pack_records(*source_, folder_ / "out", {RecordLayout::kIm2rec, 7});
  const auto order = source_index();

  std::ostringstream lines;
  for (std::size_t k = 0; k < order.size(); ++k)
    lines << k << ' ' << label(order[k]) << ' ' << hex(image(order[k])) << '\n';
  EXPECT_EQ(seen("--samples"), lines.str());
}

TEST_F(PackRecords, AnIm2recLayoutHasNothingButImagesInAnOrderOfTheSeed) {
  const auto order_of = [&](std::uint64_t seed) {
    pack_records(*source_, folder_ / "out", {RecordLayout::kIm2rec, seed});
    return source_index();
  };
  const auto other = order_of(8);
  const auto order = order_of(7);

  EXPECT_EQ(order_of(7), order);
  EXPECT_NE(order, other);
  ASSERT_EQ(order.size(), static_cast<std::size_t>(kImages));
  test::RawRecords wanted;
  for (std::size_t k = 0; k < order.size(); ++k)
    wanted.add_image(k, static_cast<float>(label(order[k])), image(order[k]));
  EXPECT_EQ(test::read_file(folder_ / "out/train.rec"), wanted.rec);
  EXPECT_EQ(test::read_file(folder_ / "out/train.idx"), wanted.idx());
  EXPECT_EQ(open_dataset(folder_ / "out")->num_classes(), kClasses);
}

/// Without a seed the order is that of the set, also of a part of it.
TEST_F(PackRecords, AnIm2recLayoutKeepsTheOrderOfThePart) {
  pack_subset(source_, some(), {}, folder_ / "out", {RecordLayout::kIm2rec, std::nullopt});
  EXPECT_EQ(source_index(), some());
  EXPECT_EQ(open_dataset(folder_ / "out")->num_classes(), 5);
}

}  // namespace
}  // namespace diffprob::data
