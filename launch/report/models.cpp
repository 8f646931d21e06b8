#include "launch/report/models.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/page/plot.h"
#include "launch/report/json.h"

namespace diffprob::launch {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kUntrainedColour = 4, kRandomColour = eval::kColours - 1;

std::vector<SetAccuracy> from_file(const std::vector<StoredVerification>& sets) {
  std::vector<SetAccuracy> list;
  for (const auto& set : sets)
    list.push_back({set.set, set.accuracy, set.accuracy_std, set.fold_accuracy});
  return list;
}

std::vector<SetAccuracy> from_stage(const nlohmann::json& reports) {
  std::vector<SetAccuracy> list;
  if (!reports.is_array()) return list;
  for (const auto& report : reports)
    list.push_back({text_at(report, "set"),
                    number_at(report, "accuracy"),
                    number_at(report, "accuracy_std"),
                    {}});
  return list;
}

std::vector<SetAccuracy> trained_accuracies(const ReportTraining& training) {
  if (training.verification && !training.verification->trained.empty())
    return from_file(training.verification->trained);
  return from_stage(value_at(training.result, "reports"));
}

std::vector<SetAccuracy> untrained_accuracies(const ReportTraining& training) {
  if (training.verification && !training.verification->untrained.empty())
    return from_file(training.verification->untrained);
  return from_stage(value_at(training.result, "untrained"));
}

/// Which pruning made a training's set: "train_random_s1" was trained on what "prune_random_s1"
/// kept.
const ReportPruning* pruning_of(const ReportRun& run, const std::string& training) {
  if (!training.starts_with("train_") || training == "train_original") return nullptr;
  const std::string stage =
      training.starts_with("train_pruned_s") ? "prune" : "prune" + training.substr(5);
  const auto found = std::find_if(run.prunings.begin(), run.prunings.end(),
                                  [&](const auto& p) { return p.stage == stage; });
  return found == run.prunings.end() ? nullptr : &*found;
}

void describe_data(const ReportRun& run, ModelRow& row) {
  row.images = row.identities = kNan;
  const std::string stage = row.trainings.front()->stage;
  if (const auto* pruning = pruning_of(run, stage)) {
    row.images = number_at(pruning->summary, "kept");
    row.identities = number_at(pruning->summary, "identities_after");
  } else if ((stage == "train_original" || stage == "given_original") && !run.prunings.empty()) {
    row.images = number_at(run.prunings.front().summary, "samples");
    row.identities = number_at(run.prunings.front().summary, "identities_before");
  }
}

double mean_seconds(const ModelRow& row) {
  std::vector<double> seconds;
  for (const auto* training : row.trainings) {
    if (const double one = number_at(training->result, "seconds"); std::isfinite(one))
      seconds.push_back(one);
  }
  return eval::estimate(seconds).mean;
}

const SetAccuracy* on_set(const std::vector<SetAccuracy>& accuracies, const std::string& set) {
  const auto found = std::find_if(accuracies.begin(), accuracies.end(),
                                  [&](const auto& a) { return a.set == set; });
  return found == accuracies.end() ? nullptr : &*found;
}

}  // namespace

std::vector<ModelRow> model_rows(const ReportRun& run) {
  std::vector<ModelRow> rows;
  for (const auto& training : run.trainings) {
    auto row = std::find_if(rows.begin(), rows.end(),
                            [&](const auto& r) { return r.model == training.model; });
    if (row == rows.end()) {
      rows.push_back({training.model, 0, {}, {}, kNan, kNan, kNan});
      row = rows.end() - 1;
    }
    row->trainings.push_back(&training);
    row->accuracies.push_back(trained_accuracies(training));
  }
  std::stable_partition(rows.begin(), rows.end(),
                        [](const auto& row) { return row.model != "random"; });
  std::size_t colour = 1;
  for (auto& row : rows) {
    row.colour = row.model == "original" ? 0 : row.model == "random" ? kRandomColour : colour;
    if (row.colour == colour) colour += colour + 1 == kUntrainedColour ? 2 : 1;
    describe_data(run, row);
    row.seconds = mean_seconds(row);
  }
  for (const auto& training : run.trainings) {
    auto accuracies = untrained_accuracies(training);
    if (accuracies.empty()) continue;
    rows.insert(
        rows.begin(),
        {"untrained", kUntrainedColour, {&training}, {std::move(accuracies)}, kNan, kNan, kNan});
    break;
  }
  return rows;
}

const ModelRow* find_model(const std::vector<ModelRow>& rows, const std::string& model) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.model == model; });
  return found == rows.end() ? nullptr : &*found;
}

const ModelRow* pruned_model(const std::vector<ModelRow>& rows) {
  const auto found = std::find_if(rows.begin(), rows.end(), [](const auto& row) {
    return row.model != "untrained" && row.trainings.front()->stage.starts_with("train_pruned_s");
  });
  return found == rows.end() ? nullptr : &*found;
}

std::vector<std::string> sets_of(const std::vector<ModelRow>& rows) {
  std::vector<std::string> sets;
  for (const auto& row : rows) {
    for (const auto& accuracies : row.accuracies) {
      for (const auto& accuracy : accuracies) {
        if (std::find(sets.begin(), sets.end(), accuracy.set) == sets.end())
          sets.push_back(accuracy.set);
      }
    }
  }
  return sets;
}

std::vector<double> seed_accuracies(const ModelRow& row, const std::string& set) {
  std::vector<double> values;
  for (const auto& accuracies : row.accuracies) {
    const auto* found = on_set(accuracies, set);
    if (found != nullptr && std::isfinite(found->accuracy)) values.push_back(found->accuracy);
  }
  return values;
}

double fold_deviation(const ModelRow& row, const std::string& set) {
  std::vector<double> values;
  for (const auto& accuracies : row.accuracies) {
    if (const auto* found = on_set(accuracies, set)) values.push_back(found->fold_deviation);
  }
  return eval::estimate(values).mean;
}

std::vector<double> fold_accuracies(const ModelRow& row, const std::string& set) {
  std::vector<double> sums;
  double trainings = 0;
  for (const auto& accuracies : row.accuracies) {
    const auto* found = on_set(accuracies, set);
    if (found == nullptr) continue;
    if (found->folds.empty() || (!sums.empty() && sums.size() != found->folds.size())) return {};
    sums.resize(found->folds.size(), 0);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += found->folds[i];
    ++trainings;
  }
  for (auto& sum : sums) sum /= trainings;
  return sums;
}

double average_accuracy(const ModelRow& row, const std::vector<std::string>& sets) {
  double sum = 0;
  for (const auto& set : sets) sum += eval::estimate(seed_accuracies(row, set)).mean;
  return sum / static_cast<double>(sets.size());  // NaN when there is none
}

}  // namespace diffprob::launch
