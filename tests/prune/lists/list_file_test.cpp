// Lists of every kind: round trips, what says kept and what says dropped, and what is left of
// damaged files.
#include "prune/lists/list_file.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/files/npy_file.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Indices = std::vector<std::int64_t>;

/// Image files of N samples: 5 an identity.
std::vector<std::string> image_names(std::int64_t count) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < count; ++i)
    names.push_back("m.0" + std::to_string(i / 5) + "/" + std::to_string(i % 5) + "-FaceId-0.jpg");
  return names;
}

IndexSet kept_set(std::int64_t samples, Indices kept) {
  IndexSet set;
  set.num_samples = samples;
  set.kept = std::move(kept);
  set.method = "list";
  return set;
}

bool holds_keys(ListKind kind) {
  return kind == ListKind::kComma || kind == ListKind::kAdaFace || kind == ListKind::kLines ||
         kind == ListKind::kNpyIndex || kind == ListKind::kCvlface;
}

class ListFile : public ::testing::Test {
 protected:
  Indices read(const std::string& name, const ListOptions& options) {
    return read_list(folder_.file(name), options).kept;
  }
  std::string refusal(const std::string& name, const ListOptions& options) {
    return message_of<data::DataError>([&] { static_cast<void>(read(name, options)); });
  }
  std::string refusal_of(const std::string& text, const ListOptions& options) {
    write_bytes(folder_.file("list"), text);
    return refusal("list", options);
  }
  Indices read_text(const std::string& text, const ListOptions& options) {
    write_bytes(folder_.file("list"), text);
    return read("list", options);
  }
  static ListOptions said(ListMeaning meaning, std::int64_t samples = 0) {
    return {{}, meaning, samples, IndexBase::kIndex, nullptr};
  }
  static ListOptions as(ListKind kind, std::int64_t samples = 0) {
    return {kind, ListMeaning::kUnsaid, samples, IndexBase::kIndex, nullptr};
  }
  TemporaryFolder folder_;
};

TEST_F(ListFile, EveryKindComesBackAsItWas) {
  Draws draws(5);
  for (const std::int64_t samples : {1, 7, 300}) {
    const auto names = image_names(samples);
    for (int share = 0; share <= 4; ++share) {
      Indices kept;
      for (std::int64_t i = 0; i < samples; ++i) {
        if (draws.below(4) < share) kept.push_back(i);
      }
      for (const ListKindInfo& info : list_kinds()) {
        for (const IndexBase base : {IndexBase::kIndex, IndexBase::kKey}) {
          ListOptions options{info.kind, info.meaning, samples, base, &names};
          if (info.meaning == ListMeaning::kUnsaid)
            options.meaning = ListMeaning::kKept;  // what write_list writes
          if (base == IndexBase::kKey && !holds_keys(info.kind)) continue;
          const std::string path = folder_.file(info.kind == ListKind::kIndexSet ? "a.h5" : "a");

          write_list(path, info.kind, kept_set(samples, kept), options);

          const IndexSet back = read_list(path, options);
          EXPECT_EQ(back.kept, kept) << info.name << ", " << samples << " samples";
          EXPECT_EQ(back.num_samples, samples) << info.name;
        }
      }
    }
  }
}

TEST_F(ListFile, KindsAreToldByContent) {
  const auto names = image_names(20);
  const std::vector<std::pair<ListKind, ListKind>> told = {
      {ListKind::kIndexSet, ListKind::kIndexSet},
      {ListKind::kKeptIndex, ListKind::kKeptIndex},
      {ListKind::kDroppedIndex, ListKind::kDroppedIndex},
      {ListKind::kAdaFace, ListKind::kComma},
      {ListKind::kLines, ListKind::kLines},
      {ListKind::kCvlface, ListKind::kNpyIndex},
      {ListKind::kCleanlab, ListKind::kNpyMask},
      {ListKind::kMsCeleb, ListKind::kNames},
      {ListKind::kNames, ListKind::kNames}};
  for (const auto& [written, found] : told) {
    ListOptions options;
    options.names = &names;
    write_list(folder_.file("a"), written, kept_set(20, {0, 3, 17}), options);
    EXPECT_EQ(detect_list_kind(folder_.file("a")), found) << info_of(written).name;
  }
  for (const ListKindInfo& info : list_kinds()) {
    EXPECT_EQ(find_list_kind(info.name), info.kind);
    EXPECT_EQ(&info_of(info.kind), &info);
  }
  EXPECT_FALSE(find_list_kind("numpy"));
}

TEST_F(ListFile, HeadersSayKeptOrDropped) {
  EXPECT_THAT(read_text("kept_index = [3, 0]", {}), ElementsAre(0, 3));
  EXPECT_THAT(read_text("dropped_index = [3, 0]", said(ListMeaning::kUnsaid, 5)),
              ElementsAre(1, 2, 4));
  EXPECT_THAT(read_text("dropped_index = [3, 0]", said(ListMeaning::kDropped, 5)),
              ElementsAre(1, 2, 4));
  EXPECT_THAT(refusal_of("dropped_index = [3, 0]", {}),
              HasSubstr("a list of dropped samples needs the number of samples"));
  EXPECT_THAT(refusal_of("dropped_index = [3, 0]", said(ListMeaning::kKept, 5)),
              HasSubstr("names dropped samples, not kept ones"));
  EXPECT_THAT(refusal_of("kept_index = [3, 0]", said(ListMeaning::kDropped, 5)),
              HasSubstr("names kept samples, not dropped ones"));
  EXPECT_THAT(refusal_of("kept_index = [3, 0]", as(ListKind::kDroppedIndex, 5)),
              HasSubstr("not that of the kind 'dropped-index'"));
  EXPECT_THAT(refusal_of("[3, 0]", as(ListKind::kKeptIndex, 5)),
              HasSubstr("not that of the kind 'kept-index'"));
}

TEST_F(ListFile, ListsWithoutAHeaderNeedAWord) {
  write_npy<std::int64_t>(folder_.file("i.npy"), std::vector<std::int64_t>{4, 1});
  write_npy_mask(folder_.file("m.npy"), std::vector<std::uint8_t>{1, 0, 0});
  for (const char* text : {"3,0", "[3, 0]", "3\n0\n"}) {
    EXPECT_THAT(refusal_of(text, {}),
                HasSubstr("does not say whether it names kept or dropped samples"));
    EXPECT_THAT(read_text(text, said(ListMeaning::kKept)), ElementsAre(0, 3));
    EXPECT_THAT(read_text(text, said(ListMeaning::kDropped, 4)), ElementsAre(1, 2));
  }
  EXPECT_THAT(refusal("i.npy", {}),
              HasSubstr("of kind 'npy-index' does not say whether it names kept"));
  EXPECT_THAT(refusal("m.npy", {}),
              HasSubstr("does not say whether True means kept or dropped samples"));
  EXPECT_THAT(read("i.npy", said(ListMeaning::kKept)), ElementsAre(1, 4));
  EXPECT_THAT(read("i.npy", as(ListKind::kCvlface, 6)), ElementsAre(0, 2, 3, 5));
  EXPECT_THAT(read("i.npy", as(ListKind::kCleanlab, 6)), ElementsAre(0, 2, 3, 5));
  EXPECT_THAT(read("m.npy", said(ListMeaning::kKept)), ElementsAre(0));
  EXPECT_THAT(read("m.npy", as(ListKind::kCleanlab)), ElementsAre(1, 2));
  EXPECT_THAT(read_text("3,0", as(ListKind::kAdaFace)), ElementsAre(0, 3));
}

TEST_F(ListFile, RecordKeysCountFromOne) {
  ListOptions options = said(ListMeaning::kKept, 5);
  options.base = IndexBase::kKey;
  EXPECT_THAT(read_text("5\n1\n", options), ElementsAre(0, 4));
  EXPECT_THAT(refusal_of("0\n", options), HasSubstr("entry 0 is 0, expected 1 to 5 (record keys)"));
  EXPECT_THAT(refusal_of("6\n", options), HasSubstr("entry 0 is 6, expected 1 to 5"));
  EXPECT_THAT(refusal_of("kept_index = [1]", options),
              HasSubstr("of kind 'kept-index' cannot hold record keys"));
  write_list(folder_.file("keys"), ListKind::kComma, kept_set(5, {0, 4}), options);
  EXPECT_EQ(read_bytes(folder_.file("keys")), "1,5\n");
  for (const ListKindInfo& info : list_kinds()) {
    EXPECT_EQ(message_of<data::DataError>([&] {
                write_list(folder_.file("keys"), info.kind, kept_set(5, {0, 4}), options);
              }).empty(),
              holds_keys(info.kind))
        << info.name;
  }
}

TEST_F(ListFile, IndicesTwiceOrOutOfRangeAreNamed) {
  EXPECT_THAT(refusal_of("3,0,3", said(ListMeaning::kKept)),
              HasSubstr("sample index 3 is listed twice"));
  EXPECT_THAT(refusal_of("3\n0\n3\n", said(ListMeaning::kDropped, 9)),
              HasSubstr("sample index 3 is listed twice"));
  EXPECT_THAT(refusal_of("3\n9\n", said(ListMeaning::kDropped, 9)),
              HasSubstr("entry 1 is 9, expected 0 to 8"));
  EXPECT_THAT(refusal_of("3\n-9\n", said(ListMeaning::kDropped, 9)),
              HasSubstr("line 2: expected a sample index"));
  EXPECT_THAT(refusal_of("3\n1.5\n", said(ListMeaning::kKept)),
              HasSubstr("line 2: expected a sample index"));
  EXPECT_THAT(refusal_of("4294967296\n", said(ListMeaning::kKept)),
              HasSubstr("expected 0 to 4294967295"));
  EXPECT_THAT(refusal_of("0.5\n", said(ListMeaning::kKept)),
              HasSubstr("line 1: expected a sample index"));
  EXPECT_THAT(refusal_of("", said(ListMeaning::kKept)), HasSubstr("an empty file"));
  EXPECT_THAT(refusal_of("{0: 1}", said(ListMeaning::kKept)),
              HasSubstr("expected a list of samples"));
  EXPECT_THAT(refusal_of("1", said(ListMeaning::kDropped, std::int64_t{1} << 60)),
              HasSubstr("expected 0 to 2^32"));
  write_npy<std::int64_t>(folder_.file("i.npy"), std::vector<std::int64_t>{4, -1});
  EXPECT_THAT(refusal("i.npy", said(ListMeaning::kKept)),
              HasSubstr("entry 1 is -1, expected 0 to"));
  write_npy<double>(folder_.file("f.npy"), std::vector<double>{4});
  EXPECT_THAT(refusal("f.npy", said(ListMeaning::kKept)), HasSubstr("floats are scores"));
  write_npy_mask(folder_.file("m.npy"), std::vector<std::uint8_t>{1, 0, 0});
  EXPECT_THAT(refusal("m.npy", said(ListMeaning::kKept, 4)),
              HasSubstr("a mask of 3 samples, but the data set has 4"));
}

TEST_F(ListFile, NamesAreThoseOfTheDataSet) {
  const auto names = image_names(10);
  ListOptions options{ListKind::kNames, ListMeaning::kDropped, 10, IndexBase::kIndex, &names};
  EXPECT_THAT(read_text("# noise\n./m.01/0-FaceId-0.jpg\r\nm.00/1-FaceId-0.jpg\n", options),
              ElementsAre(0, 2, 3, 4, 6, 7, 8, 9));
  EXPECT_THAT(refusal_of("m.00/7.jpg\n", options),
              HasSubstr("line 1: 'm.00/7.jpg' is not an image of the data set (its first one is "
                        "'m.00/0-FaceId-0.jpg')"));
  EXPECT_THAT(refusal_of("m.00/1-FaceId-0.jpg\nm.00/1-FaceId-0.jpg\n", options),
              HasSubstr("sample index 1 is listed twice"));
  options.kind = ListKind::kMsCeleb;
  EXPECT_THAT(refusal_of("m.00 m.00/1-FaceId-0.jpg\n", options),
              HasSubstr("of kind 'ms-celeb' names kept samples, not dropped ones"));
  options.meaning = ListMeaning::kUnsaid;
  EXPECT_THAT(read_text("m.00 m.00/1-FaceId-0.jpg\nm.01\t./m.01/0-FaceId-0.jpg\n", options),
              ElementsAre(1, 5));
  EXPECT_THAT(refusal_of("m.01 m.00/1-FaceId-0.jpg\n", options),
              HasSubstr("relabelled images cannot be expressed"));
  EXPECT_THAT(refusal_of("m.01\n", options),
              HasSubstr("line 1: expected 'identity file', found 'm.01'"));
  options.names = nullptr;
  EXPECT_THAT(refusal_of("m.00 m.00/1-FaceId-0.jpg\n", options),
              HasSubstr("can be read only with the data set"));
  const std::vector<std::string> twice = {"a.jpg", "./a.jpg"};
  options.names = &twice;
  EXPECT_THAT(refusal_of("a a.jpg\n", options), HasSubstr("two samples of the data set are named"));
}

TEST_F(ListFile, IndexSetsTakeListsOfEveryKindThatSaysWhatItIs) {
  const auto as_kept = [&](const std::string& name) {
    return read_index_set(folder_.file(name), 5).kept;
  };
  write_bytes(folder_.file("d.txt"), "dropped_index = [3, 0]\n");
  write_bytes(folder_.file("l.txt"), "3\n0\n");
  write_npy<std::int64_t>(folder_.file("i.npy"), std::vector<std::int64_t>{3, 0});
  write_npy_mask(folder_.file("m.npy"), std::vector<std::uint8_t>{1, 0, 0, 0, 0});
  EXPECT_THAT(as_kept("d.txt"), ElementsAre(1, 2, 4));
  EXPECT_THAT(as_kept("l.txt"), ElementsAre(0, 3));
  EXPECT_THAT(as_kept("i.npy"), ElementsAre(0, 3));
  EXPECT_THAT(message_of<data::DataError>([&] { static_cast<void>(as_kept("m.npy")); }),
              HasSubstr("a mask does not say whether True means kept or dropped"));
  write_bytes(folder_.file("n.txt"), "m.0/1.jpg\n");
  EXPECT_THAT(message_of<data::DataError>([&] { static_cast<void>(as_kept("n.txt")); }),
              HasSubstr("can be read only with the data set"));
}

TEST_F(ListFile, WhatCannotBeWrittenIsRefused) {
  const std::string path = folder_.file("out");
  const auto writing = [&](ListKind kind, const ListOptions& options = {}) {
    return message_of<data::DataError>([&] { write_list(path, kind, kept_set(0, {1}), options); });
  };
  for (const ListKind kind : {ListKind::kIndexSet, ListKind::kNpyMask, ListKind::kCleanlab,
                              ListKind::kCvlface, ListKind::kDroppedIndex}) {
    EXPECT_THAT(writing(kind), HasSubstr("needs the number of samples")) << info_of(kind).name;
  }
  EXPECT_THAT(writing(ListKind::kNames), HasSubstr("need the data set"));
  const std::vector<std::string> flat = {"a.jpg", "b.jpg"};
  EXPECT_THAT(writing(ListKind::kMsCeleb, {{}, ListMeaning::kUnsaid, 0, IndexBase::kIndex, &flat}),
              HasSubstr("is not in a folder"));
  EXPECT_EQ(folder_.entries(), 0U);
}

/// Indices of a list that was cut: never one that the whole list does not begin.
TEST_F(ListFile, EveryTruncationIsAnErrorOrAShorterList) {
  const auto names = image_names(40);
  for (const ListKindInfo& info : list_kinds()) {
    ListOptions options{info.kind, info.meaning, 40, IndexBase::kIndex, &names};
    if (info.meaning == ListMeaning::kUnsaid) options.meaning = ListMeaning::kKept;
    const std::string path = folder_.file("a");
    write_list(path, info.kind, kept_set(40, {0, 3, 17, 39}), options);
    const std::string whole = read_bytes(path);
    std::size_t refused = 0;
    for (std::size_t length = 0; length < whole.size(); ++length) {
      write_bytes(path, whole.substr(0, length));
      refused +=
          message_of<data::DataError>([&] { static_cast<void>(read_list(path, options)); }).empty()
              ? 0U
              : 1U;
    }
    const bool self_delimiting =
        info.kind == ListKind::kIndexSet || info.kind == ListKind::kNpyIndex ||
        info.kind == ListKind::kCvlface || info.kind == ListKind::kNpyMask ||
        info.kind == ListKind::kCleanlab;
    const bool brackets = info.kind == ListKind::kKeptIndex || info.kind == ListKind::kDroppedIndex;
    if (self_delimiting) {
      EXPECT_EQ(refused, whole.size()) << info.name;
    } else if (brackets) {
      EXPECT_EQ(refused, whole.size() - 1)
          << info.name << ": only the line break at the end may be missing";
    }
  }
}

TEST_F(ListFile, GarbageIsRefusedOrSmall) {
  Draws draws(6);
  const std::string letters = "0123456789,[] \n\t=.-kept_indxro{}";
  const std::string path = folder_.file("a");
  for (int round = 0; round < 4000; ++round) {
    std::string bytes(static_cast<std::size_t>(draws.below(50)), '\0');
    for (char& c : bytes)
      c = round % 3 == 0 ? static_cast<char>(draws.below(256))
                         : letters[static_cast<std::size_t>(
                               draws.below(static_cast<std::int64_t>(letters.size())))];
    if (round % 3 == 1) bytes = "kept_index = [" + bytes;
    write_bytes(path, bytes);
    for (const ListKindInfo& info : list_kinds()) {
      ListOptions options = as(info.kind, 1000);
      options.meaning = info.meaning == ListMeaning::kUnsaid ? ListMeaning::kKept : info.meaning;
      try {
        const IndexSet set = read_list(path, options);
        EXPECT_LE(set.kept.size(), 1000U);
        EXPECT_TRUE(std::is_sorted(set.kept.begin(), set.kept.end()));
      } catch (const data::DataError&) {
      }
    }
    try {
      EXPECT_LE(read_index_set(path, 1000).kept.size(), 1000U);
    } catch (const data::DataError&) {
    }
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
