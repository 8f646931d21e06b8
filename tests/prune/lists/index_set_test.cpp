// Index sets: label map, HDF5 and text forms, damaged files.
#include "prune/lists/index_set.h"

#include <cstdio>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/lists/kept_index_text.h"
#include "tests/prune/synthetic.h"
#include "tests/prune/whole_selection.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

bool equal(const IndexSet& a, const IndexSet& b) {
  return a.dataset_fingerprint == b.dataset_fingerprint && a.num_samples == b.num_samples &&
         a.kept == b.kept && a.label_map == b.label_map && a.reasons == b.reasons &&
         a.method == b.method && a.threshold == b.threshold;
}

/// 0 and 2 keep samples, 1 loses all, 3 never had any.
IndexSet example() {
  const Selection selection{{Reason::kKept, Reason::kMislabelled, Reason::kRedundant,
                             Reason::kKeptByFloor, Reason::kMislabelled}};
  IndexSet set = make_index_set(selection, {2, 1, 2, 0, 1}, 4);
  set.dataset_fingerprint = "abc";
  set.method = "clean+diffprob";
  set.threshold = 3e-5;
  return set;
}

class IndexSetFile : public ::testing::Test {
 protected:
  std::string reading(const std::string& name, std::int64_t samples) {
    return message_of<data::DataError>(
        [&] { static_cast<void>(read_index_set(folder_.file(name), samples)); });
  }
  TemporaryFolder folder_;
};

TEST_F(IndexSetFile, MadeFromASelectionRenumbersLabelsDensely) {
  const IndexSet set = example();

  EXPECT_EQ(set.kept, (std::vector<std::int64_t>{0, 3}));
  EXPECT_EQ(set.label_map, (std::vector<std::int64_t>{0, -1, 1, -1}));
  EXPECT_EQ(set.num_samples, 5);
}

TEST_F(IndexSetFile, Hdf5ComesBackAsItWasAlsoUnderAnotherName) {
  const IndexSet set = example();
  write_index_set(folder_.file("kept.h5"), set);
  std::filesystem::copy_file(folder_.file("kept.h5"), folder_.file("kept.bin"));

  EXPECT_TRUE(equal(read_index_set(folder_.file("kept.h5"), 5), set));
  EXPECT_TRUE(equal(read_index_set(folder_.file("kept.h5"), 0), set));
  EXPECT_TRUE(equal(read_index_set(folder_.file("kept.bin"), 5), set));
  EXPECT_THAT(reading("kept.h5", 6), HasSubstr("5 samples, expected 6"));
  EXPECT_EQ(folder_.entries(), 2U);
}

TEST_F(IndexSetFile, EveryReasonIsReadBackAndTheNextCodeIsRefused) {
  IndexSet set;
  set.label_map = {0};
  for (int code = 0; code <= static_cast<int>(kLastReason); ++code) {
    const auto reason = static_cast<Reason>(code);
    if (is_kept(reason)) set.kept.push_back(code);
    set.reasons.push_back(reason);
    EXPECT_FALSE(reason_name(reason).empty());
  }
  set.num_samples = static_cast<std::int64_t>(set.reasons.size());
  write_index_set(folder_.file("kept.h5"), set);
  EXPECT_TRUE(equal(read_index_set(folder_.file("kept.h5"), set.num_samples), set));
  EXPECT_EQ(reason_name(Reason::kLeak), "leak");

  set.reasons[1] = static_cast<Reason>(static_cast<int>(kLastReason) + 1);
  EXPECT_ANY_THROW(write_index_set(folder_.file("more.h5"), set));
}

TEST_F(IndexSetFile, OneOfAPartComesInTheNumbersThatAreAskedFor) {
  // Samples 2, 4, 5, 7, 9 of ten; classes 1, 3 and 4 of the whole are 0, 1 and 2 of the part.
  const WholeNumbers numbers{"whole", 10, {2, 4, 5, 7, 9}, {-1, 0, -1, 1, 2}};
  IndexSet set = make_index_set({{Reason::kKept, Reason::kMislabelled, Reason::kRedundant,
                                  Reason::kKeptByFloor, Reason::kRedundant}},
                                {2, 1, 2, 0, 1}, 3);
  set.dataset_fingerprint = "part";
  set.whole = KeptOfWhole{"whole", 10, {2, 7}, label_map_of_whole(numbers, set.label_map)};
  write_index_set(folder_.file("part.h5"), set);

  EXPECT_TRUE(equal(read_index_set(folder_.file("part.h5"), 5), set));
  for (const std::int64_t samples : {10, 0}) {
    const IndexSet whole = read_index_set(folder_.file("part.h5"), samples);
    EXPECT_EQ(whole.dataset_fingerprint, "whole");
    EXPECT_EQ(whole.num_samples, 10);
    EXPECT_EQ(whole.kept, (std::vector<std::int64_t>{2, 7}));
    // Class 0 of the part keeps sample 7, class 2 sample 2, class 1 nothing.
    EXPECT_EQ(whole.label_map, (std::vector<std::int64_t>{-1, 0, -1, -1, 1}));
  }
  EXPECT_THAT(reading("part.h5", 6), HasSubstr("5 samples (a part of one of 10), expected 6"));

  set.whole->kept = {2, 10};
  EXPECT_THAT(message_of<PruneError>([&] { write_index_set(folder_.file("bad.h5"), set); }),
              HasSubstr("(whole set): kept[1] is 10"));
}

TEST_F(IndexSetFile, ContradictionsAreRefused) {
  const auto writing = [&](auto&& change) {
    IndexSet set = example();
    change(set);
    return message_of<data::DataError>([&] { write_index_set(folder_.file("bad.h5"), set); });
  };
  EXPECT_THAT(writing([](auto& s) {
                s.kept = {3, 0};
              }),
              HasSubstr("kept[1] is 0, expected 4 to 4"));
  EXPECT_THAT(writing([](auto& s) { s.kept = {0, 5}; }), HasSubstr("kept[1] is 5"));
  EXPECT_THAT(writing([](auto& s) {
                s.kept = {0, 2};
              }),
              HasSubstr("sample 2 has the reason redundant, but is in the kept list"));
  EXPECT_THAT(writing([](auto& s) { s.kept = {0}; }),
              HasSubstr("sample 3 has the reason kept_by_floor, but is not in the kept list"));
  EXPECT_THAT(writing([](auto& s) {
                s.label_map = {1, 0, -1, -1};
              }),
              HasSubstr("label_map[0] is 1, expected -1 or 0"));
  EXPECT_THAT(writing([](auto& s) { s.reasons.pop_back(); }), HasSubstr("4 reasons for 5 samples"));
  EXPECT_THAT(writing([](auto& s) { s.reasons[1] = static_cast<Reason>(9); }),
              HasSubstr("unknown reason code 9"));
  EXPECT_EQ(folder_.entries(), 0U);
}

TEST_F(IndexSetFile, TextFormsAreThoseOfThePapersCode) {
  const IndexSet set = example();
  write_index_set(folder_.file("kept.txt"), set);
  write_label_map_text(folder_.file("map.txt"), set);

  EXPECT_EQ(read_bytes(folder_.file("kept.txt")), "kept_index = [0, 3]\n");
  EXPECT_EQ(read_bytes(folder_.file("map.txt")), "{0: 0, 2: 1}\n");
  const IndexSet read = read_index_set(folder_.file("kept.txt"), 5);
  EXPECT_EQ(read.kept, set.kept);
  EXPECT_EQ(read.num_samples, 5);
  EXPECT_TRUE(read.reasons.empty());
}

TEST_F(IndexSetFile, EmptySetsComeBack) {
  IndexSet set;
  set.num_samples = 4;
  write_index_set(folder_.file("none.h5"), set);
  write_index_set(folder_.file("none.txt"), set);

  EXPECT_TRUE(equal(read_index_set(folder_.file("none.h5"), 4), set));
  EXPECT_TRUE(read_index_set(folder_.file("none.txt"), 4).kept.empty());
}

TEST_F(IndexSetFile, DamagedHdf5IsRefusedOrHarmless) {
  const IndexSet set = example();
  const std::string path = folder_.file("kept.h5");
  write_index_set(path, set);
  const std::string bytes = read_bytes(path);
  for (std::size_t length = 0; length < bytes.size(); length += 3) {
    write_bytes(path, bytes.substr(0, length));
    EXPECT_THROW(static_cast<void>(read_index_set(path, 5)), data::DataError) << length;
  }
  int refused = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1U << (at % 8)));
    write_bytes(path, damaged);
    try {
      EXPECT_TRUE(equal(read_index_set(path, 5), set)) << "byte " << at;
    } catch (const data::DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  std::printf("%zu bit flips, %d refused, the others harmless\n", bytes.size(), refused);
}

TEST_F(IndexSetFile, MissingFilesAreErrors) {
  EXPECT_THAT(reading("none.txt", 5), HasSubstr("none.txt: cannot open"));
  EXPECT_THAT(reading("none.h5", 5), HasSubstr("none.h5"));
  EXPECT_THAT(message_of<data::DataError>([&] {
                static_cast<void>(read_index_set(std::filesystem::temp_directory_path(), 5));
              }),
              HasSubstr("cannot open"));
}

std::vector<std::int64_t> parse(const std::string& text, std::int64_t samples = 0) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  NumberList list = parse_number_list("list", text, 0, samples > 0 ? samples - 1 : kMost);
  sort_indices("list", list.numbers);
  return std::move(list.numbers);
}
std::string refusal(const std::string& text, std::int64_t samples = 0) {
  return message_of<data::DataError>([&] { static_cast<void>(parse(text, samples)); });
}

TEST(KeptIndexText, AcceptsWhatPeopleWrite) {
  const std::vector<std::int64_t> wanted = {0, 3, 17};
  for (const char* text :
       {"kept_index = [0, 3, 17]", "kept_index=[17,0,3]\n", "kept_index = [\n 3,\n 17,\r\n\t0\n]\n",
        "[3, 0, 17,]", "0,3,17", "0,3,17\n", "  kept_index\n=\n[0 , 3 ,17 , ]  \n"}) {
    EXPECT_EQ(parse(text), wanted) << text;
  }
  EXPECT_TRUE(parse("kept_index = []").empty());
  EXPECT_TRUE(parse("").empty());
}

TEST(KeptIndexText, NamesDuplicatesAndIndicesOutOfRange) {
  EXPECT_THAT(refusal("kept_index = [4, 2, 4]"), HasSubstr("sample index 4 is listed twice"));
  EXPECT_THAT(refusal("[0,\n1,\n5]", 5),
              HasSubstr("line 3: expected an index of 0 to 4, found '5]'"));
  EXPECT_EQ(refusal("[0, 4]", 5), "");
  EXPECT_THAT(refusal("[0, -1]"),
              HasSubstr("expected a sample index (a whole number, 0 or more), found '-1]'"));
  EXPECT_THAT(refusal("[99999999999999999999]"), HasSubstr("expected a sample index"));
}

TEST(KeptIndexText, RefusesJunk) {
  for (const char* text :
       {"kept_index", "kept_index = ", "kept_index [1]", "[1, 2", "[1 2]", "[1, 2] 3", "[1,, 2]",
        "1, 2]", "[1.5]", "[1e3]", "x", "[np.int64(3), np.int64(4)]", "kept_index = [1]; import os",
        "[[1]]", "\x89HDF", "{0: 1}", "[,]", "kept_index = [0x10]"}) {
    const std::string message = refusal(text);
    if (std::string(text) == "kept_index = ") continue;  // an empty bare list
    EXPECT_THAT(message, HasSubstr("list: line 1: expected")) << text;
  }
  EXPECT_THAT(refusal("[np.int64(3)]"), HasSubstr("found 'np.int64(3)]'"));
}

}  // namespace
}  // namespace diffprob::prune::tests
