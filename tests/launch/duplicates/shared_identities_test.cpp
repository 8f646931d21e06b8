#include "launch/duplicates/by_embedding/shared_identities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "launch/duplicates/by_embedding/embedded_sets.h"
#include "launch/duplicates/pair_files.h"
#include "prune/error.h"
#include "tests/data/test_files.h"

namespace diffprob::launch {
namespace {

using data::test::TemporaryFolder;
using data::test::write_file;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Two images per label. With names: those of image files.
class Faces final : public data::Dataset {
 public:
  Faces(std::string folder, std::int64_t labels, std::vector<std::string> names = {})
      : folder_(std::move(folder)), labels_(labels), names_(std::move(names)) {}
  std::int64_t size() const override { return 2 * labels_; }
  std::int64_t num_classes() const override { return labels_; }
  std::int64_t label(std::int64_t index) const override { return index / 2; }
  void read(std::int64_t, std::vector<std::byte>&) const override {}
  std::string describe(std::int64_t index) const override {
    return names_.empty() ? "record " + std::to_string(index)
                          : names_.at(static_cast<std::size_t>(index / 2)) + "/a.jpg";
  }
  std::string folder() const override { return folder_; }
  std::string fingerprint() const override { return "faces"; }

 private:
  std::string folder_;
  std::int64_t labels_;
  std::vector<std::string> names_;
};

TEST(IdentityNames, AreThoseOfFolders) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "Ann");
  write_file(folder / "Ann/a.jpg", "x");
  const auto names = identity_names(Faces(folder.path(), 3, {"Ann", "42", "b/Bob"}));
  EXPECT_THAT(names.names, ElementsAre("Ann", "", "Bob"));
  EXPECT_EQ(names.source, "folders");
}

TEST(IdentityNames, ThatAreNumbersOrOneFolderAreNone) {
  const TemporaryFolder folder;
  for (const char* name : {"7", "all"}) {
    std::filesystem::create_directories(folder / name);
    write_file(folder / (std::string(name) + "/a.jpg"), "x");
  }
  EXPECT_THAT(identity_names(Faces(folder.path(), 2, {"7", "8"})).why_none, HasSubstr("numbers"));
  EXPECT_THAT(identity_names(Faces(folder.path(), 2, {"all", "all"})).why_none,
              HasSubstr("share folders"));
}

TEST(IdentityNames, OfRecordsAreThoseOfTheListOrTextBesideThem) {
  const TemporaryFolder folder;
  auto whole = std::make_shared<Faces>(folder.path(), 3);
  EXPECT_THAT(identity_names(*whole).why_none, HasSubstr("identities.txt"));
  write_file(folder / "identities.txt", "Ann\n\nCid\nDora\n");
  EXPECT_THAT(identity_names(*whole).names, ElementsAre("Ann", "", "Cid"));
  write_file(folder / "train.lst", "1\t/faces/Zoe/1.jpg\t0\n1\t/faces/Yan/1.jpg\t2\n");
  EXPECT_THAT(identity_names(*whole).names, ElementsAre("Zoe", "", "Yan"));

  const data::Subset part(whole, {4, 5, 1}, {1, -1, 0});
  EXPECT_THAT(identity_names(part).names, ElementsAre("Yan", "Zoe"));

  write_file(folder / "train.lst", "1\t/faces/Zoe/1.jpg\t0\n1\t/faces/Yan/1.jpg\t-2\n");
  EXPECT_THAT(data::test::error_of([&] { (void)identity_names(*whole); }),
              HasSubstr("train.lst: line 2"));
}

TEST(SharedIdentities, JoinNamesAndCentres) {
  const IdentityNames a{{"Ann", "Bob", "", "Cid"}, "", ""}, b{{"Cid", "", "Ann", "Ann"}, "", ""};
  const auto shared = shared_identities(a, b, {{0, 2, 0.8F}, {2, 1, 0.9F}});
  std::vector<std::string> lines;
  for (const SharedIdentity& pair : shared)
    lines.push_back(std::to_string(pair.a) + std::to_string(pair.b) +
                    (pair.by_name ? " name" : "") + (pair.by_centre ? " centre" : ""));
  EXPECT_THAT(lines, ElementsAre("02 name centre", "03 name", "21 centre", "30 name"));
  EXPECT_EQ(different_first(shared), 3);
  EXPECT_EQ(different_second(shared), 4);
  EXPECT_THAT(shared_identities({}, {}, {}), IsEmpty());
}

TEST(FoundPairs, JoinPixelsAndEmbeddings) {
  const auto found = found_pairs({{1, 2, 3, 0.9F}, {1, 9, 0, 1}, {4, 5, 0, 1}},
                                 {{0, 7, 0.8F}, {1, 9, 0.7F}, {6, 8, 0.6F}});
  std::vector<std::string> lines;
  for (const FoundPair& pair : found)
    lines.push_back(std::to_string(pair.a) + std::to_string(pair.b) +
                    (pair.by_pixels ? " pixels" : "") + (pair.by_embedding ? " embedding" : ""));
  EXPECT_THAT(lines, ElementsAre("07 embedding", "12 pixels", "19 pixels embedding", "45 pixels",
                                 "68 embedding"));
  EXPECT_FLOAT_EQ(found[2].cosine, 0.7F);
  EXPECT_FLOAT_EQ(found[1].similarity, 0.9F);
  EXPECT_THAT(all_but_first(found, 10), ElementsAre(2, 5, 7, 8, 9));
}

std::shared_ptr<EmbeddingRows> rows_in(const std::string& path, std::int64_t rows, float first) {
  std::vector<float> values(static_cast<std::size_t>(2 * rows));
  std::iota(values.begin(), values.end(), first);
  prune::NpyWriter<float> file(path, {rows, 2});
  file.append(values);
  file.commit();
  return std::make_shared<EmbeddingRows>(path);
}

TEST(EmbeddedSets, AreReadOneAfterTheOther) {
  const TemporaryFolder folder;
  const auto a = rows_in(folder / "a.npy", 3, 0), b = rows_in(folder / "b.npy", 2, 6);
  const eval::EmbeddedSet set = join_as_images("tests", {a, b}, {3, 2});
  EXPECT_EQ(set.rows, 5);
  EXPECT_EQ(set.identities, 5);
  std::vector<float> all(10), expected(10);
  std::iota(expected.begin(), expected.end(), 0.0F);
  set.read(0, all);
  EXPECT_EQ(all, expected);
  std::vector<float> some(4);
  set.read(2, some);
  EXPECT_THAT(some, ElementsAre(4, 5, 6, 7));
  EXPECT_THROW((void)join_as_images("tests", {a, b}, {3, 4}), prune::PruneError);
  EXPECT_THROW((void)open_embeddings(a->path(), std::make_shared<Faces>("", 2), "data.train"),
               prune::PruneError);
}

}  // namespace
}  // namespace diffprob::launch
