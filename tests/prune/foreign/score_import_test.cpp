// Scores of others: numbers in .npy and text, CSV, and tables that lack columns.
#include "prune/foreign/score_import.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/foreign/score_csv.h"
#include "prune/foreign/score_rows.h"
#include "prune/tables/score_file.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Every bit but those of NaN.
bool same_bits(float a, float b) {
  return std::isnan(a) ? std::isnan(b) : std::memcmp(&a, &b, sizeof a) == 0;
}

void expect_equal(const ScoreTable& a, const ScoreTable& b) {
  EXPECT_EQ(a.columns, b.columns) << a.columns.text() << " / " << b.columns.text();
  EXPECT_EQ(a.labels, b.labels);
  ASSERT_EQ(a.records.size(), b.records.size());
  for (std::size_t i = 0; i < a.records.size(); ++i) {
    EXPECT_EQ(a.records[i].index, b.records[i].index);
    EXPECT_EQ(a.records[i].top1, b.records[i].top1);
    for (const FloatColumn& column : float_columns())
      EXPECT_TRUE(same_bits(a.records[i].*column.member, b.records[i].*column.member))
          << column.name << i;
  }
}

class ScoreImport : public ::testing::Test {
 protected:
  std::string import(const std::string& text, const EpochChoice& epoch = {},
                     ScoreValue value = ScoreValue::kProbability) {
    write_bytes(path_, text);
    return message_of<data::DataError>(
        [&] { table_ = import_scores(path_, value, epoch, samples_); });
  }
  std::string csv(const std::string& text, const SampleLabels& samples) {
    write_bytes(path_, text);
    return message_of<data::DataError>([&] { table_ = read_score_csv(path_, samples, &ignored_); });
  }
  std::vector<float> probabilities() const {
    std::vector<float> values;
    for (const ScoreRecord& record : table_.records) values.push_back(record.probability);
    return values;
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("prob.txt");
  SampleLabels samples_{{0, 1, 1}, 2, "fingerprint"};
  ScoreTable table_;
  std::vector<std::string> ignored_;
};

TEST_F(ScoreImport, ReadsWhatSavetxtWrites) {
  EXPECT_EQ(
      import("2.500000000000000000e-01\n1.000000000000000000e+00\n0.000000000000000000e+00\n"), "");
  EXPECT_THAT(probabilities(), ElementsAre(0.25F, 1, 0));
  EXPECT_FLOAT_EQ(table_.records[0].nll, std::log(4.0F));
  EXPECT_EQ(table_.records[1].nll, 0);
  EXPECT_FALSE(std::signbit(table_.records[1].nll));
  EXPECT_EQ(table_.records[2].nll, std::numeric_limits<float>::infinity());
  EXPECT_EQ(table_.labels, samples_.labels);
  EXPECT_EQ(table_.source.dataset_fingerprint, "fingerprint");
  EXPECT_TRUE(std::isnan(table_.source.margin));
}

TEST_F(ScoreImport, IsLenientAboutBlanksAndCommasAndComments) {
  for (const char* text :
       {"# prob\r\n\r\n  0.25 \r\n\t1\r\n+0e0\r\n", "0.25 1 0\n", "0.25, 1,0,\n", "2.5e-1\n1.\n.0",
        "\xEF\xBB\xBF"
        "0.25\n1\n1e-400\n"}) {
    EXPECT_EQ(import(text), "") << text;
    EXPECT_THAT(probabilities(), ElementsAre(0.25F, 1, 0)) << text;
  }
}

TEST_F(ScoreImport, RowsAreEpochs) {
  const std::string three = "0.5 0.25 1\n0.75 0.5 1\n1 0.5 1\n";
  EXPECT_THAT(import(three), HasSubstr("several rows, one per epoch: choose with --epoch=last"));
  EXPECT_EQ(import(three, parse_epoch("last")), "");
  EXPECT_THAT(probabilities(), ElementsAre(1, 0.5F, 1));
  EXPECT_EQ(import(three, parse_epoch("0")), "");
  EXPECT_THAT(probabilities(), ElementsAre(0.5F, 0.25F, 1));
  EXPECT_EQ(import(three, parse_epoch("mean")), "");
  EXPECT_THAT(probabilities(), ElementsAre(0.75F, static_cast<float>(1.25 / 3), 1));
  EXPECT_THAT(import(three, parse_epoch("3")), HasSubstr("3 rows, so there is no row 3"));
  EXPECT_THAT(message_of<data::DataError>([] { static_cast<void>(parse_epoch("first")); }),
              HasSubstr("expected last, mean or a number"));
  EXPECT_THAT(message_of<data::DataError>([] { static_cast<void>(parse_epoch("-1")); }),
              HasSubstr("expected last, mean or a number"));
}

TEST_F(ScoreImport, TheMeanOfNllIsTheMeanOfProbabilities) {
  EXPECT_EQ(import("0 0 inf\n0 0.69314718055994531 inf\n", parse_epoch("mean"), ScoreValue::kNll),
            "");
  EXPECT_THAT(probabilities(), ElementsAre(1, 0.75F, 0));
}

TEST_F(ScoreImport, BadNumbersAreNamedByLine) {
  EXPECT_THAT(import("0.5\nnan\n1\n"),
              HasSubstr("prob.txt: line 2: expected a score, found 'nan'"));
  EXPECT_THAT(import("0.5\n\n0.5x\n"), HasSubstr("line 3: expected a number, found '0.5x'"));
  EXPECT_THAT(import("0.5 1 1\n1 1\n"),
              HasSubstr("line 2: expected 3 numbers, as in the lines before, found '2 numbers'"));
  EXPECT_THAT(import("0.5,,1\n"), HasSubstr("line 1: expected a number, found ''"));
  EXPECT_THAT(import(""), HasSubstr("contains no scores"));
  EXPECT_THAT(import("0.5\n-2\n1\n"),
              HasSubstr("sample 1 is -2.000000, expected a probability, 0 to 1"));
  EXPECT_THAT(import("0.5\n1.5\n1\n"), HasSubstr("--value=nll when these are -log p"));
  EXPECT_THAT(import("0.5\n-1.5\n1\n", {}, ScoreValue::kNll),
              HasSubstr("expected -log p, at least 0"));
  EXPECT_THAT(import("0.5\n1\n"), HasSubstr("row 0: 2 scores, but there are 3 labels"));
  samples_.labels.clear();
  EXPECT_THAT(import("0.5\n1\n"), HasSubstr("scores without labels: give the data set"));
}

TEST_F(ScoreImport, TextAndNpyOfScoresComeBackAsTheyWere) {
  Draws draws(9);
  std::vector<double> values(500);
  for (double& value : values) value = draws.uniform();
  for (const std::string name : {"a.txt", "a.npy"}) {
    if (name == "a.txt") write_text_column(folder_.file(name), values);
    if (name == "a.npy") write_npy<double>(folder_.file(name), values);
    std::vector<double> read;
    read_score_rows(folder_.file(name), [&](std::int64_t, std::span<const double> row) {
      read.assign(row.begin(), row.end());
    });
    EXPECT_EQ(read, values) << name;
  }
}

TEST_F(ScoreImport, EveryTruncationOfTextIsAnError) {
  const std::string whole = "0.25\n1\n5e-1\n";
  for (std::size_t length = 0; length + 1 < whole.size(); ++length)
    EXPECT_NE(import(whole.substr(0, length)), "") << length;
  EXPECT_EQ(import(whole.substr(0, whole.size() - 1)), "")
      << "only the line break at the end is missing";
}

TEST_F(ScoreImport, LabelsAreReadFromLists) {
  write_bytes(path_, "0\r\n2\n\n1\n");
  EXPECT_EQ(read_labels(path_).labels, (std::vector<std::int32_t>{0, 2, 1}));
  EXPECT_EQ(read_labels(path_).num_classes, 3);
  write_npy<std::int64_t>(folder_.file("l.npy"), std::vector<std::int64_t>{4, 0});
  EXPECT_EQ(read_labels(folder_.file("l.npy")).labels, (std::vector<std::int32_t>{4, 0}));
  write_npy<std::int64_t>(folder_.file("l.npy"),
                          std::vector<std::int64_t>{4, std::int64_t{1} << 31});
  EXPECT_THAT(
      message_of<data::DataError>([&] { static_cast<void>(read_labels(folder_.file("l.npy"))); }),
      HasSubstr("label 2147483648 of sample 1"));
  write_bytes(path_, "0\n1.5\n");
  EXPECT_THAT(message_of<data::DataError>([&] { static_cast<void>(read_labels(path_)); }),
              HasSubstr("line 2: expected a label"));
  write_bytes(path_, "");
  EXPECT_THAT(message_of<data::DataError>([&] { static_cast<void>(read_labels(path_)); }),
              HasSubstr("no labels"));
}

TEST_F(ScoreImport, TablesWithMissingColumnsComeBackFromHdf5) {
  ASSERT_EQ(import("0.25\n1\n0\n"), "");
  EXPECT_EQ(table_.columns.text(), "nll probability");
  EXPECT_EQ(table_.records[0].top1, -1);
  EXPECT_TRUE(std::isnan(table_.records[0].entropy));

  write_scores(folder_.file("s.h5"), table_);

  expect_equal(read_scores(folder_.file("s.h5")), table_);
}

TEST_F(ScoreImport, NumbersInMissingColumnsAreRefused) {
  ASSERT_EQ(import("0.25\n1\n0\n"), "");
  table_.records[1].entropy = 0.5F;
  EXPECT_THAT(message_of<data::DataError>([&] { write_scores(folder_.file("s.h5"), table_); }),
              HasSubstr("row 1: entropy is present, but not among the columns"));
  table_.columns = ScoreColumns::none();
  table_.columns.add("nll");
  EXPECT_THAT(message_of<data::DataError>([&] { write_scores(folder_.file("s.h5"), table_); }),
              HasSubstr("expected nll and probability among them"));
}

TEST_F(ScoreImport, CsvOfAWholeTableComesBackAsItWas) {
  for (const std::int64_t identities : {1, 30}) {
    ScoreTable table = synthetic_table(4, identities, 20);
    table.records[0].nll = std::numeric_limits<float>::infinity();
    table.records[0].probability = 0;
    write_score_csv(path_, table);
    ASSERT_TRUE(is_score_csv(path_));

    const ScoreTable read = read_score_csv(path_, {}, &ignored_);

    expect_equal(read, table);
    EXPECT_TRUE(ignored_.empty());
    EXPECT_EQ(folder_.entries(), 1U);
  }
}

TEST_F(ScoreImport, CsvOfATableWithMissingColumnsComesBackAsItWas) {
  ASSERT_EQ(csv("label,probability,cosine\n0,0.5,0.1\n2,1,-0.25\n", {}), "");
  const ScoreTable table = table_;
  write_score_csv(folder_.file("b.csv"), table);

  EXPECT_EQ(read_bytes(folder_.file("b.csv")).substr(0, 35),
            "index,label,nll,probability,cosine\n");
  expect_equal(read_score_csv(folder_.file("b.csv"), {}), table);
  EXPECT_EQ(table.source.num_classes, 3);
}

TEST_F(ScoreImport, CsvTakesColumnsInAnyOrderAndRowsByIndex) {
  EXPECT_EQ(csv("probability , path, index,top1,label\r\n0.5,a/b.jpg,2,1,1\r\n\r\n 0.25 ,c "
                "d,0,0,0\r\n1,x,1,3,1\r\n",
                {}),
            "");
  EXPECT_THAT(probabilities(), ElementsAre(0.25F, 1, 0.5F));
  EXPECT_EQ(table_.labels, (std::vector<std::int32_t>{0, 1, 1}));
  EXPECT_EQ(table_.records[1].top1, 3);
  EXPECT_EQ(table_.source.num_classes, 4);
  EXPECT_THAT(ignored_, ElementsAre("path"));
  EXPECT_EQ(table_.columns.text(), "nll probability top1");
}

TEST_F(ScoreImport, CsvLabelsMustBeThoseOfTheDataSet) {
  EXPECT_EQ(csv("probability\n0.5\n1\n1\n", samples_), "");
  EXPECT_EQ(table_.labels, samples_.labels);
  EXPECT_EQ(table_.source.dataset_fingerprint, "fingerprint");
  EXPECT_EQ(csv("label,nll\n0,0.5\n1,1\n1,0\n", samples_), "");
  EXPECT_THAT(csv("label,nll\n0,0.5\n0,1\n1,0\n", samples_),
              HasSubstr("sample 1 has label 0, but in the data set it has 1"));
  EXPECT_THAT(csv("label,nll\n0,0.5\n", samples_),
              HasSubstr("1 scores, but the data set or list has 3 labels"));
  EXPECT_THAT(csv("nll\n0.5\n", {}), HasSubstr("no column label: give the data set"));
  EXPECT_THAT(csv("nll,top1\n0,0\n0,1\n0,2\n", samples_),
              HasSubstr("row 2: top1 is 2, expected 0 to 1"));
}

TEST_F(ScoreImport, CsvErrorsNameTheLine) {
  const std::string head = "index,label,probability,nll,top1\n";
  const std::string good = "0,0,1,0,0\n";
  const auto line3 = [&](const std::string& row) { return csv(head + good + row, {}); };
  EXPECT_THAT(line3("1,0,1,0\n"), HasSubstr("line 3: expected 5 fields, found '4 fields'"));
  EXPECT_THAT(line3("1,0,nan,0,0\n"),
              HasSubstr("line 3: expected probability, a number, found 'nan'"));
  EXPECT_THAT(line3("1,0,,0,0\n"), HasSubstr("line 3: expected probability, a number, found ''"));
  EXPECT_THAT(line3("1,0,1.5,0,0\n"),
              HasSubstr("line 3: probability is 1.500000, expected 0 to 1"));
  EXPECT_THAT(line3("1,0,1,-2,0\n"), HasSubstr("line 3: nll is -2"));
  EXPECT_THAT(line3("1,0,0.5,0,0\n"), HasSubstr("line 3: probability 0.500000 is not exp(-nll)"));
  EXPECT_THAT(line3("1,-1,1,0,0\n"), HasSubstr("line 3: expected label, a class"));
  EXPECT_THAT(line3("1,2147483648,1,0,0\n"), HasSubstr("line 3: expected label"));
  EXPECT_THAT(line3("1,0,1,0,0.5\n"), HasSubstr("line 3: expected top1"));
  EXPECT_THAT(line3("99999999999,0,1,0,0\n"), HasSubstr("line 3: expected a sample index"));
  EXPECT_THAT(line3("0,0,1,0,0\n"), HasSubstr("index 0 appears twice"));
  EXPECT_THAT(line3("4000000000,0,1,0,0\n"), HasSubstr("index 4000000000 in a file of 2 scores"));
  EXPECT_THAT(csv("label,probabilty\n0,1\n", {}),
              HasSubstr("line 1: expected a header with the column probability or nll, found "
                        "'label,probabilty'"));
  EXPECT_THAT(csv("label,nll,label\n", {}), HasSubstr("column 'label' appears twice"));
  EXPECT_THAT(csv("\"label\",\"nll\"\n", {}), HasSubstr("without quotes"));
  EXPECT_THAT(csv("label,nll\n", {}), HasSubstr("no scores below the header"));
  EXPECT_THAT(csv("", {}), HasSubstr("an empty file"));
}

TEST_F(ScoreImport, EveryTruncationOfCsvIsAnErrorOrWholeRows) {
  const std::string whole = "index,label,probability\n0,0,0.25\n1,1,0.5\n";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    if (csv(whole.substr(0, length), {}).empty()) {
      EXPECT_LE(table_.records.size(), 2U);
    }
    // With the data set at hand a lost row is always noticed.
    EXPECT_NE(csv(whole.substr(0, std::min<std::size_t>(length, 34)), samples_), "") << length;
  }
}

TEST_F(ScoreImport, GarbageIsRefused) {
  Draws draws(77);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes(static_cast<std::size_t>(draws.below(60)), '\0');
    const std::string letters = "0123456789.,-+ena \n\r\tindexlabprouty\"";
    for (char& c : bytes)
      c = round % 2 == 0 ? letters[static_cast<std::size_t>(
                               draws.below(static_cast<std::int64_t>(letters.size())))]
                         : static_cast<char>(draws.below(256));
    if (import(bytes).empty()) {
      EXPECT_EQ(table_.records.size(), 3U) << bytes;
    }
    if (csv("index,label,nll\n" + bytes, {}).empty()) {
      EXPECT_LT(table_.records.size(), 20U) << bytes;
    }
    static_cast<void>(csv(bytes, {}));
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
