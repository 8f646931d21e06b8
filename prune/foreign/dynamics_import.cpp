#include "prune/foreign/dynamics_import.h"

#include <filesystem>
#include <utility>

#include "prune/error.h"
#include "prune/foreign/prob_folder.h"
#include "prune/foreign/score_rows.h"
#include "prune/tables/dynamics_file.h"

namespace diffprob::prune {
namespace {

/// Margins and predictions stand at 0 and are thrown away at the end.
void fill(std::span<const double> values, ScoreValue value, std::vector<EpochRecord>& records) {
  records.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double probability = value == ScoreValue::kNll ? probability_of(values[i]) : values[i];
    records[i] = {static_cast<std::uint32_t>(i), static_cast<float>(probability), 0, 0};
  }
}

}  // namespace

DynamicsTable import_dynamics(const std::string& path, ScoreValue value,
                              const SampleLabels& samples, std::int64_t window) {
  if (samples.labels.empty()) {
    throw PruneError(path +
                     ": scores without labels: give the data set (--data=PATH) or a list of labels "
                     "(--labels=FILE)");
  }
  if (std::filesystem::is_directory(path)) {
    const std::string missing = missing_epochs(prob_folder_files(path));
    if (!missing.empty())
      throw PruneError(path + ": epochs " + missing +
                       " have no file prob_E.txt: training dynamics need every epoch between the "
                       "first and the last");
  }
  DynamicsAccumulator accumulator({0, static_cast<std::int64_t>(samples.labels.size())}, window);
  std::vector<EpochRecord> records;
  read_score_rows(path, [&](std::int64_t row, std::span<const double> values) {
    check_score_row(path, row, values, value, samples.labels.size(), Marks::kRefuse);
    fill(values, value, records);
    accumulator.add_epoch(records);
  });
  DynamicsTable table;
  table.source = imported_source(samples);
  table.labels = samples.labels;
  table.epochs = accumulator.state().epochs;
  table.window = window;
  table.rows = accumulator.finish();
  table.probabilities_alone = true;
  table.rows.aum.clear();
  table.rows.forgetting.clear();
  table.rows.last_correct.clear();
  check_dynamics(path, table);
  return table;
}

}  // namespace diffprob::prune
