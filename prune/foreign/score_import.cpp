#include "prune/foreign/score_import.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "data/files/text_lines.h"
#include "prune/error.h"
#include "prune/foreign/label_files.h"
#include "prune/foreign/prob_folder.h"
#include "prune/foreign/score_rows.h"
#include "prune/tables/score_file.h"

namespace diffprob::prune {
namespace {

/// Rows of [E, N] -> the one row that counts.
class RowChoice {
 public:
  RowChoice(const std::string& path, ScoreValue value, const EpochChoice& epoch,
            std::size_t samples)
      : path_(path), value_(value), epoch_(epoch), samples_(samples) {
    if (!std::filesystem::is_directory(path)) return;
    for (const EpochFile& file : prob_folder_files(path)) epochs_.push_back(file.epoch);
  }

  void take(std::int64_t row, std::span<const double> values) {
    rows_ = row + 1;
    check_score_row(path_, row, values, value_, samples_, Marks::kAllow);
    if (epoch_.rule == EpochChoice::Rule::kOnly && row > 0) {
      throw PruneError(path_ +
                       ": several rows, one per epoch: choose with --epoch=last, --epoch=mean or "
                       "--epoch=NUMBER (from 0)");
    }
    if (epoch_.rule == EpochChoice::Rule::kNumber && epoch_of(row) != epoch_.number) return;
    if (epoch_.rule != EpochChoice::Rule::kMean) {
      chosen_.assign(values.begin(), values.end());
      return;
    }
    chosen_.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      chosen_[i] += value_ == ScoreValue::kNll ? probability_of(values[i]) : values[i];
  }

  /// [N]; after the last row. `value` becomes that of the result.
  std::vector<double> finish(ScoreValue& value) {
    if (chosen_.empty()) {
      const std::string number = std::to_string(epoch_.number);
      if (!epochs_.empty()) throw PruneError(path_ + ": no file prob_" + number + ".txt");
      throw PruneError(path_ + ": " + std::to_string(rows_) + " rows, so there is no row " +
                       number + " (counted from 0)");
    }
    if (epoch_.rule == EpochChoice::Rule::kMean) {
      value = ScoreValue::kProbability;
      // Rounding of the sum may carry the mean of ones beyond 1.
      for (double& sum : chosen_) sum = std::min(1.0, sum / static_cast<double>(rows_));
    }
    return std::move(chosen_);
  }

 private:
  [[nodiscard]] std::int64_t epoch_of(std::int64_t row) const {
    return epochs_.empty() ? row : epochs_.at(static_cast<std::size_t>(row));
  }

  const std::string& path_;
  ScoreValue value_;
  EpochChoice epoch_;
  std::size_t samples_;
  std::vector<std::int64_t> epochs_;  // of the rows of a folder
  std::int64_t rows_ = 0;
  std::vector<double> chosen_;
};

std::string name_of_row(const std::string& path, std::int64_t row) {
  if (!std::filesystem::is_directory(path)) return path + ": row " + std::to_string(row);
  return prob_folder_files(path).at(static_cast<std::size_t>(row)).path;
}

ScoreRecord record_of(std::size_t sample, double score, ScoreValue value) {
  ScoreRecord record = unknown_record(static_cast<std::uint32_t>(sample));
  const bool nll = value == ScoreValue::kNll;
  record.nll = static_cast<float>(nll ? score + 0.0 : nll_of(score));
  record.probability = static_cast<float>(nll ? probability_of(score) : score + 0.0);
  return record;
}

}  // namespace

void check_score_row(const std::string& path, std::int64_t row, std::span<const double> values,
                     ScoreValue value, std::size_t samples, Marks marks) {
  if (values.size() != samples) {
    throw PruneError(name_of_row(path, row) + ": " + std::to_string(values.size()) +
                     " scores, but there are " + std::to_string(samples) +
                     " labels (a table has one row per epoch and one column per sample)");
  }
  const bool nll = value == ScoreValue::kNll;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= 0 && (nll || values[i] <= 1)) continue;
    const bool mark = !nll && values[i] == kMispredictedMark;
    if (mark && marks == Marks::kAllow) continue;
    throw PruneError(
        name_of_row(path, row) + ": sample " + std::to_string(i) + " is " +
        std::to_string(values[i]) +
        (nll    ? ", expected -log p, at least 0"
         : mark ? ", the mark of a mispredicted sample, which hides its probability: training "
                  "dynamics need every probability (pred_prob_history, not pred_prob_clean)"
                : ", expected a probability, 0 to 1, or -1, with which the paper's code marks a "
                  "mispredicted sample (--value=nll when these are -log p)"));
  }
}

double nll_of(double probability) {
  return probability == 1 ? 0.0 : -std::log(probability);
}

double probability_of(double nll) {
  return std::exp(-nll);
}

ScoreSource imported_source(const SampleLabels& samples) {
  ScoreSource source;
  source.dataset_fingerprint = samples.dataset_fingerprint;
  source.num_classes = samples.num_classes;
  source.margin = std::numeric_limits<double>::quiet_NaN();
  source.scale = std::numeric_limits<double>::quiet_NaN();
  return source;
}

EpochChoice parse_epoch(std::string_view text) {
  using Rule = EpochChoice::Rule;
  if (text.empty()) return {};
  if (text == "last") return {Rule::kLast, 0};
  if (text == "mean") return {Rule::kMean, 0};
  std::int64_t number = 0;
  if (!data::parse_number(text, number) || number < 0) {
    throw PruneError("epoch: expected last, mean or a number from 0, found '" +
                     data::printable(text) + "'");
  }
  return {Rule::kNumber, number};
}

SampleLabels read_labels(const std::string& path) {
  if (is_pickle_file(path)) return read_label_dict(path);
  std::vector<std::int64_t> numbers;
  if (is_npy_file(path)) {
    numbers = NpyFile(path).integers();
  } else {
    data::TextLines lines(path);
    while (lines.next()) {
      if (!data::parse_number(lines.text(), numbers.emplace_back()))
        lines.fail("a label (a whole number)", lines.text());
    }
  }
  SampleLabels samples;
  samples.labels.reserve(numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0 || numbers[i] > std::numeric_limits<std::int32_t>::max()) {
      throw PruneError(path + ": label " + std::to_string(numbers[i]) + " of sample " +
                       std::to_string(i) + ", expected 0 to 2147483647");
    }
    samples.labels.push_back(static_cast<std::int32_t>(numbers[i]));
    samples.num_classes = std::max(samples.num_classes, numbers[i] + 1);
  }
  if (numbers.empty()) throw PruneError(path + ": contains no labels");
  return samples;
}

ScoreTable import_scores(const std::string& path, ScoreValue value, const EpochChoice& epoch,
                         const SampleLabels& samples) {
  if (samples.labels.empty()) {
    throw PruneError(path +
                     ": scores without labels: give the data set (--data=PATH) or a list of labels "
                     "(--labels=FILE)");
  }
  RowChoice choice(path, value, epoch, samples.labels.size());
  read_score_rows(
      path, [&](std::int64_t row, std::span<const double> values) { choice.take(row, values); });
  const std::vector<double> scores = choice.finish(value);
  ScoreTable table;
  table.source = imported_source(samples);
  table.labels = samples.labels;
  table.columns = ScoreColumns::none();
  table.columns.add("nll");
  table.columns.add("probability");
  table.records.reserve(scores.size());
  // Of a mean, what the paper's code calls marked (scores below 0).
  const auto marked = [](double score) { return score < 0; };
  const bool any_marked = std::any_of(scores.begin(), scores.end(), marked);
  if (any_marked) table.columns.add("top1");
  for (std::size_t i = 0; i < scores.size(); ++i) {
    table.records.push_back(marked(scores[i]) ? unknown_record(static_cast<std::uint32_t>(i))
                                              : record_of(i, scores[i], value));
    if (any_marked && !marked(scores[i])) table.records.back().top1 = table.labels[i];
  }
  check_table(path, table);
  return table;
}

}  // namespace diffprob::prune
