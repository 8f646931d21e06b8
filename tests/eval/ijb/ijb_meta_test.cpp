// Files of the IJB protocols: what is read, how parts add up, and that every kind of damage is an
// error which names file and line.
#include "eval/ijb/meta.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "eval/ijb/meta_lines.h"
#include "tests/data/test_files.h"
#include "tests/support/golden.h"

namespace diffprob::eval {
namespace {

using data::test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kPoints = "1 2 3 4 5 6 7 8 9 10 0.5";

class IjbMeta : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder / "meta"); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder / ("meta/" + name), std::ios::binary) << text;
  }
  /// Two images of templates 7 and 3.
  void write_good() const {
    write("ijbb_face_tid_mid.txt", "1.jpg 7 70\n2.jpg 3 -4\n");
    write("ijbb_name_5pts_score.txt",
          std::string("1.jpg ") + kPoints + "\n2.jpg " + kPoints + "\n");
    write("ijbb_template_pair_label.txt", "3 7 1\n7 3 0\n");
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return folder / ("meta/" + name);
  }
  [[nodiscard]] IjbImages images() const { return read_ijb_images(find_ijb_files(folder.path())); }
  [[nodiscard]] TemplatePairs pairs() const {
    return read_template_pairs(path("ijbb_template_pair_label.txt"), {3, 7});
  }

  static void expect_error(const std::function<void()>& read,
                           const std::vector<std::string>& said) {
    try {
      read();
      ADD_FAILURE() << "nothing was refused; expected: " << said[0];
    } catch (const data::DataError& e) {
      for (const auto& text : said) EXPECT_THAT(e.what(), HasSubstr(text));
    }
  }
  TemporaryFolder folder;
};

TEST_F(IjbMeta, ReadsWhatTheProtocolHas) {
  write_good();

  const IjbImages read = images();
  const TemplatePairs read_pairs = pairs();

  EXPECT_EQ(find_ijb_files(folder.path()).name, "IJB-B");
  EXPECT_THAT(read.template_id, ElementsAre(7, 3));
  EXPECT_THAT(read.media_id, ElementsAre(70, -4));
  EXPECT_EQ(read.name(0), "1.jpg");
  EXPECT_EQ(read.name(1), "2.jpg");
  EXPECT_EQ(read.landmarks[1][9], 10.0F);
  EXPECT_EQ(read.detector_score[0], 0.5F);
  EXPECT_THAT(read_pairs.first, ElementsAre(0, 1));
  EXPECT_THAT(read_pairs.second, ElementsAre(1, 0));
  EXPECT_THAT(read_pairs.same, ElementsAre(1, 0));
}

TEST_F(IjbMeta, CarriageReturnsTabsEmptyLinesAndNoLastLineEnd) {
  write_good();
  write("ijbb_template_pair_label.txt", "3\t7  1\r\n\r\n\n7 3 0");

  EXPECT_THAT(pairs().same, ElementsAre(1, 0));
}

TEST_F(IjbMeta, NamesFileAndLineOfDamage) {
  const auto broken = [&](const std::string& name, const std::string& text,
                          const std::vector<std::string>& said) {
    write_good();
    write(name, text);
    expect_error([&] { (void)images(), (void)pairs(); }, said);
  };
  const std::string row1 = std::string("1.jpg ") + kPoints + "\n";
  broken("ijbb_face_tid_mid.txt", "1.jpg 7 70\n2.jpg 3\n",
         {"face_tid_mid.txt line 2", "'image template media'", "2 fields"});
  broken("ijbb_face_tid_mid.txt", "1.jpg 7 70\n2.jpg x3 5\n", {"face_tid_mid.txt line 2", "'x3'"});
  broken("ijbb_face_tid_mid.txt", "1.jpg 7 70\n2.jpg 99999999999999999999 5\n",
         {"line 2", "template id"});
  broken("ijbb_face_tid_mid.txt", "../../etc/passwd 7 70\n",
         {"line 1", "is not the name of a file in the image folder"});
  broken("ijbb_face_tid_mid.txt", "/etc/passwd 7 70\n", {"line 1", "is not the name of a file"});
  broken("ijbb_face_tid_mid.txt", "1.jpg 7 70\n3.jpg 3 4\n",
         {"5pts_score.txt line 2", "'2.jpg'", "'3.jpg'"});
  broken("ijbb_face_tid_mid.txt", "1.jpg 7 70\n",
         {"5pts_score.txt line 2", "more images than the 1"});
  broken("ijbb_face_tid_mid.txt", "\n", {"line 1", "more images than the 0"});
  broken("ijbb_name_5pts_score.txt", row1, {"ends after 1 images"});
  broken("ijbb_name_5pts_score.txt", row1 + "2.jpg 1 2 3\n", {"line 2", "4 fields"});
  broken("ijbb_name_5pts_score.txt", row1 + "2.jpg 1 2 nan 4 5 6 7 8 9 10 0.5\n",
         {"line 2", "landmark", "'nan'"});
  broken("ijbb_name_5pts_score.txt", row1 + "2.jpg 1 2 3 4 5 6 7 8 9 10 high\n",
         {"line 2", "detector score", "'high'"});
  broken("ijbb_template_pair_label.txt", "3 7 1\n3 8 0\n",
         {"pair_label.txt line 2", "template 8 has no images"});
  broken("ijbb_template_pair_label.txt", "3 7 2\n", {"line 1", "0 or 1", "'2'"});
  broken("ijbb_template_pair_label.txt", std::string(200000, 'x'), {"line 1", "not a text file"});
}

TEST_F(IjbMeta, FilesThatAreMissing) {
  expect_error([&] { (void)images(); }, {"expected meta/ijbb_face_tid_mid.txt"});
  write_good();
  write("ijbc_face_tid_mid.txt", "");
  expect_error([&] { (void)images(); }, {"both IJB-B and IJB-C"});
  std::filesystem::remove(path("ijbc_face_tid_mid.txt"));
  std::filesystem::remove(path("ijbb_name_5pts_score.txt"));
  expect_error([&] { (void)images(); }, {"ijbb_name_5pts_score.txt: is missing"});
}

TEST_F(IjbMeta, SubjectLists) {
  write("ijbb_1N_gallery_S1.csv",
        "TEMPLATE_ID,SUBJECT_ID,FILENAME\n7,500,a.jpg\n7,500,b.jpg\n3,-2,c.jpg\n");
  const auto list = read_subject_list(path("ijbb_1N_gallery_S1.csv"), {3, 7});
  EXPECT_THAT(list.templates, ElementsAre(1, 0));
  EXPECT_THAT(list.subject, ElementsAre(500, -2));

  const auto refused = [&](const std::string& text, const std::vector<std::string>& said) {
    write("list.csv", text);
    expect_error([&] { (void)read_subject_list(path("list.csv"), {3, 7}); }, said);
  };
  refused("", {"empty"});
  refused("TEMPLATE_ID,SUBJECT_ID\n", {"no templates"});
  refused("TEMPLATE_ID,SUBJECT_ID\n7\n", {"line 2", "one field"});
  refused("TEMPLATE_ID,SUBJECT_ID\n7,5\n8,5\n", {"line 3", "template 8"});
  refused("TEMPLATE_ID,SUBJECT_ID\n7,5\n7,6\n",
          {"line 3", "subject 6", "on an earlier line it has 5"});
}

TEST_F(IjbMeta, PartsTogetherAreTheFileAndNameTheRightLine) {
  std::mt19937 random(4);
  std::string text;
  std::vector<std::string> lines;
  for (int i = 0; i < 300; ++i) {
    lines.push_back(std::to_string(i) + " " + std::string(random() % 40, 'a') + "x");
    text += lines.back() + (random() % 4 == 0 ? "\n\n" : "\n");
  }
  write("lines.txt", text);
  for (const int parts : {1, 2, 3, 7, 100, 20000}) {
    std::vector<std::string> found;
    for (int part = 0; part < parts; ++part) {
      MetaLines reader(path("lines.txt"), ' ', part, parts);
      while (reader.next()) {
        found.push_back(std::string(reader.fields()[0]) + " " + std::string(reader.fields()[1]));
        if (parts > 7) continue;
        const auto at = text.find(found.back() + "\n");
        EXPECT_EQ(
            reader.line_number(),
            1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
      }
    }
    EXPECT_EQ(found, lines) << parts;
  }
}

/// Fields of a text file, line by line, read as plainly as can be.
std::vector<std::vector<std::string>> plain_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::vector<std::string>> lines;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    lines.emplace_back(std::istream_iterator<std::string>(fields),
                       std::istream_iterator<std::string>());
  }
  return lines;
}

TEST_F(IjbMeta, GoldenImages) {
  const auto files = find_ijb_files(tests::golden_dir() + "/ijbc_meta");
  const auto media = plain_lines(files.face_tid_mid);
  const auto points = plain_lines(files.name_5pts_score);
  ASSERT_FALSE(media.empty());
  ASSERT_EQ(points.size(), media.size());

  const auto read = read_ijb_images(files);

  EXPECT_EQ(files.name, "IJB-C");
  ASSERT_EQ(read.size(), static_cast<std::int64_t>(media.size()));
  EXPECT_EQ(read.size(), tests::Golden("ijbc.h5").shape("template_index_of_image").at(0));
  for (std::size_t i = 0; i < media.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_EQ(read.name(static_cast<std::int64_t>(i)), media[i].at(0));
    ASSERT_EQ(read.template_id[i], std::stoll(media[i].at(1)));
    ASSERT_EQ(read.media_id[i], std::stoll(media[i].at(2)));
    ASSERT_EQ(points[i].size(), 12U);
    for (std::size_t k = 0; k < 10; ++k)
      ASSERT_EQ(read.landmarks[i][k], std::stof(points[i][1 + k]));
    ASSERT_EQ(read.detector_score[i], std::stof(points[i][11]));
  }
}

TEST_F(IjbMeta, GoldenPairs) {
  const auto files = find_ijb_files(tests::golden_dir() + "/ijbc_meta");
  std::set<std::int64_t> distinct;
  for (const auto& line : plain_lines(files.face_tid_mid)) distinct.insert(std::stoll(line.at(1)));
  const std::vector<std::int64_t> ids(distinct.begin(), distinct.end());
  const auto lines = plain_lines(files.template_pair_label);
  ASSERT_FALSE(lines.empty());

  const auto read = read_template_pairs(files.template_pair_label, ids);

  const tests::Golden golden("ijbc.h5");
  EXPECT_EQ(static_cast<std::int64_t>(ids.size()), golden.shape("subject_of_template").at(0));
  EXPECT_EQ(static_cast<double>(read.size()),
            golden.number_or("/", "pairs", static_cast<double>(read.size())));
  ASSERT_EQ(read.size(), static_cast<std::int64_t>(lines.size()));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_EQ(ids.at(static_cast<std::size_t>(read.first[i])), std::stoll(lines[i].at(0)));
    ASSERT_EQ(ids.at(static_cast<std::size_t>(read.second[i])), std::stoll(lines[i].at(1)));
    ASSERT_EQ(std::to_string(read.same[i]), lines[i].at(2));
  }
}

}  // namespace
}  // namespace diffprob::eval
