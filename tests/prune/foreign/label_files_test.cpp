// label_map.pkl and label_dict.pkl of the paper's code, written and read; and by Python itself.
#include "prune/foreign/label_files.h"

#include <cstdlib>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LabelFiles : public ::testing::Test {
 protected:
  std::string map_problem(const std::string& bytes) const {
    write_bytes(path_, bytes);
    return message_of<data::DataError>([&] { static_cast<void>(read_label_map(path_)); });
  }
  std::string dict_problem(const std::string& bytes) const {
    write_bytes(path_, bytes);
    return message_of<data::DataError>([&] { static_cast<void>(read_label_dict(path_)); });
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("labels.pkl");
};

TEST_F(LabelFiles, LabelMapsComeBack) {
  std::vector<std::int64_t> map(70000, -1);
  std::int64_t next = 0;
  for (const std::size_t kept : {0U, 3U, 255U, 256U, 65535U, 65536U, 69999U}) map[kept] = next++;
  write_label_map_pickle(path_, map);
  EXPECT_TRUE(is_pickle_file(path_));
  EXPECT_EQ(read_label_map(path_), map);
}

TEST_F(LabelFiles, TheMapOfNothingIsEmpty) {
  write_label_map_pickle(path_, std::vector<std::int64_t>{-1, -1});
  EXPECT_TRUE(read_label_map(path_).empty());
  write_bytes(path_ + ".txt", "{}\n");
  EXPECT_TRUE(read_label_map(path_ + ".txt").empty());
}

TEST_F(LabelFiles, TextMapsAreRead) {
  const std::string path = folder_.file("label_map.txt");
  write_bytes(path, "{0: 0, 2: 1,\n 5:2 , }\n");
  EXPECT_THAT(read_label_map(path), ElementsAre(0, -1, 1, -1, -1, 2));
  for (const char* text :
       {"{0: 0, 2}", "{0: 0, x: 1}", "{0: 0, -2: 1}", "{0: 0", "", "{", "0: 0"}) {
    write_bytes(path, text);
    EXPECT_NE(message_of<data::DataError>([&] { static_cast<void>(read_label_map(path)); }), "")
        << text;
  }
}

TEST_F(LabelFiles, MapsThatAreNotDenseOrNotInOrderAreRefused) {
  EXPECT_THAT(map_problem("\x80\x02}(K\x01K\x00K\x02K\x02u."s),
              HasSubstr("label 2 becomes 2, expected 1"));
  EXPECT_THAT(map_problem("\x80\x02}(K\x01K\x00K\x01K\x01u."s), HasSubstr("label 1 appears twice"));
}

TEST_F(LabelFiles, LabelDictionariesComeBack) {
  Draws draws(5);
  std::vector<std::int32_t> labels(70000);
  for (auto& label : labels) label = static_cast<std::int32_t>(draws.below(400));
  labels[7] = 500;  // labels between have no samples
  write_label_dict(path_, labels);
  const SampleLabels read = read_label_dict(path_);
  EXPECT_EQ(read.labels, labels);
  EXPECT_EQ(read.num_classes, 501);
  EXPECT_EQ(read_labels(path_).labels, labels) << "--labels=label_dict.pkl";
}

TEST_F(LabelFiles, ANumberInPlaceOfAListIsOneSample) {
  // {0: [0, 2], 1: 1}
  write_bytes(path_,
              "\x80\x02}(K\x00](K\x00K\x02"
              "eK\x01K\x01u."s);
  EXPECT_THAT(read_label_dict(path_).labels, ElementsAre(0, 1, 0));
}

TEST_F(LabelFiles, SamplesThatAreMissingTwiceOrOutOfRangeAreNamed) {
  EXPECT_THAT(dict_problem("\x80\x02}(K\x00](K\x00K\x00"
                           "eu."s),
              HasSubstr("sample 0 has label 0 and label 0"));
  EXPECT_THAT(dict_problem("\x80\x02}(K\x00](K\x00K\x05"
                           "eu."s),
              HasSubstr("sample 5, expected 0 to 1"));
  EXPECT_THAT(dict_problem("\x80\x02}(K\x00U\x01"
                           "au."s),
              HasSubstr("pickle offset"));
  EXPECT_THAT(dict_problem("\x80\x02]K\x00"
                           "a."s),
              HasSubstr("expected a dict, found list"));
  EXPECT_THAT(dict_problem("\x80\x02}."), HasSubstr("contains no labels"));
  EXPECT_THAT(dict_problem("\x80\x02}(J\xff\xff\xff\xff](K\x00"
                           "eu."s),
              HasSubstr("label -1"));
}

TEST_F(LabelFiles, DamagedPicklesAreErrors) {
  write_label_dict(path_, std::vector<std::int32_t>{0, 1, 1, 0, 300});
  const std::string whole = read_bytes(path_);
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(dict_problem(whole.substr(0, length)), "") << length;
  Draws draws(6);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole;
    damaged[static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(whole.size())))] =
        static_cast<char>(draws.below(256));
    static_cast<void>(dict_problem(damaged));
    static_cast<void>(map_problem(damaged));
  }
}

TEST_F(LabelFiles, ListsOfLabelsComeBack) {
  const std::vector<std::int32_t> labels = {4, 0, 0, 7};
  for (const char* name : {"l.npy", "l.txt"}) {
    write_labels(folder_.file(name), labels);
    EXPECT_EQ(read_labels(folder_.file(name)).labels, labels);
  }
}

constexpr const char* kScript = R"(
import pickle, sys
folder = sys.argv[1]
samples = {0: [0, 3, 70000], 2: list(range(4, 70000)), 300: [1, 2]}
with open(folder + '/ours_dict.pkl', 'rb') as file:
    assert pickle.load(file) == samples
with open(folder + '/ours_map.pkl', 'rb') as file:
    read = pickle.load(file)
assert read == {0: 0, 2: 1, 70000: 2}, read
assert list(read) == [0, 2, 70000]
for protocol in range(2, 6):
    with open(f'{folder}/dict{protocol}.pkl', 'wb') as file:
        pickle.dump(samples, file, protocol)
    with open(f'{folder}/map{protocol}.pkl', 'wb') as file:
        pickle.dump({0: 0, 2: 1, 70000: 2}, file, protocol)
)";

TEST_F(LabelFiles, PythonReadsOursAndWeReadItsProtocols) {
  const char* python = std::getenv("DIFFPROB_PYTHON");
  if (python == nullptr || *python == '\0') GTEST_SKIP() << "DIFFPROB_PYTHON is not set";
  std::vector<std::int32_t> labels(70001, 2);
  labels[0] = labels[3] = labels[70000] = 0;
  labels[1] = labels[2] = 300;
  std::vector<std::int64_t> map(70001, -1);
  map[0] = 0;
  map[2] = 1;
  map[70000] = 2;
  write_label_dict(folder_.file("ours_dict.pkl"), labels);
  write_label_map_pickle(folder_.file("ours_map.pkl"), map);
  write_bytes(folder_.file("script.py"), kScript);
  const std::string command = std::string("'") + python + "' '" + folder_.file("script.py") +
                              "' '" + folder_.file("") + "'";

  ASSERT_EQ(std::system(command.c_str()), 0);

  for (int protocol = 2; protocol < 6; ++protocol) {
    const std::string number = std::to_string(protocol) + ".pkl";
    EXPECT_EQ(read_label_dict(folder_.file("dict" + number)).labels, labels) << protocol;
    EXPECT_EQ(read_label_map(folder_.file("map" + number)), map) << protocol;
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
