#include "prune/tables/dynamics_file.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/tables/row_problems.h"
#include "prune/tables/source_attributes.h"

namespace diffprob::prune {
namespace {

/// Attribute `columns` of files that hold these alone.
constexpr const char* kProbabilityColumns = "mean_probability uncertainty last_probability";

void check_rows_of(const std::string& where, const char* column, std::size_t found,
                   std::size_t expected) {
  if (found == expected) return;
  throw PruneError(where + ": " + column + ": " + std::to_string(found) + " rows, expected " +
                   std::to_string(expected));
}

void check_sizes(const std::string& where, const DynamicsTable& table) {
  const std::size_t samples = table.labels.size();
  const std::size_t recorded = table.probabilities_alone ? 0 : samples;
  check_rows_of(where, "mean_probability", table.rows.mean_probability.size(), samples);
  check_rows_of(where, "uncertainty", table.rows.uncertainty.size(), samples);
  check_rows_of(where, "aum", table.rows.aum.size(), recorded);
  check_rows_of(where, "forgetting", table.rows.forgetting.size(), recorded);
  check_rows_of(where, "last_probability", table.rows.last_probability.size(), samples);
  check_rows_of(where, "last_correct", table.rows.last_correct.size(), recorded);
}

void check_row(const DynamicsTable& table, std::size_t i, RowProblems& problems) {
  const auto bad = [&](const char* name, auto value, const std::string& expected) {
    problems.add(static_cast<std::int64_t>(i),
                 std::string(name) + " is " + std::to_string(value) + ", expected " + expected);
  };
  const DynamicsRows& rows = table.rows;
  const double mean = rows.mean_probability[i];
  const float last = rows.last_probability[i];
  if (table.labels[i] < 0 || table.labels[i] >= table.source.num_classes) {
    bad("label", table.labels[i], "0 to " + std::to_string(table.source.num_classes - 1));
  }
  if (!(mean >= 0 && mean <= 1)) bad("mean_probability", mean, "0 to 1");
  if (!(rows.uncertainty[i] >= 0 && std::isfinite(rows.uncertainty[i])))
    bad("uncertainty", rows.uncertainty[i], "at least 0");
  if (!(last >= 0 && last <= 1)) bad("last_probability", last, "0 to 1");
  if (table.probabilities_alone) return;
  if (!std::isfinite(rows.aum[i])) bad("aum", rows.aum[i], "a finite number");
  if (rows.forgetting[i] < 0 || rows.forgetting[i] > table.epochs)
    bad("forgetting", rows.forgetting[i], "0 to the number of epochs");
  if (rows.last_correct[i] > 1)
    bad("last_correct", static_cast<int>(rows.last_correct[i]), "0 or 1");
}

void need_history(const HdfReader& file, const std::string& path) {
  if (file.has_attribute(kHistoryEpochs)) return;
  throw PruneError(path + ": holds no history of the epochs; train with --train.record=history");
}

}  // namespace

void check_dynamics(const std::string& where, const DynamicsTable& table) {
  check_extents(where, static_cast<std::int64_t>(table.labels.size()), table.source.num_classes);
  if (table.epochs < 1 || table.window < 2) {
    throw PruneError(where + ": epochs is " + std::to_string(table.epochs) + " and window " +
                     std::to_string(table.window) + ", expected at least 1 and 2");
  }
  check_sizes(where, table);
  RowProblems problems;
  for (std::size_t i = 0; i < table.labels.size(); ++i) check_row(table, i, problems);
  problems.throw_if_any(where);
}

DynamicsWriter::DynamicsWriter(const std::string& path, const DynamicsTable& table, History history)
    : file_((check_dynamics(path, table), path)) {
  file_.attribute("format", std::string(kDynamicsFormat));
  file_.attribute("format_version", kDynamicsVersion);
  file_.attribute("num_samples", static_cast<std::int64_t>(table.labels.size()));
  file_.attribute("epochs", table.epochs);
  file_.attribute("window", table.window);
  write_source(file_, table.source);
  file_.dataset<std::int32_t>("label", table.labels);
  file_.dataset<double>("mean_probability", table.rows.mean_probability);
  file_.dataset<double>("uncertainty", table.rows.uncertainty);
  if (!table.probabilities_alone) {
    file_.dataset<float>("aum", table.rows.aum);
    file_.dataset<std::int32_t>("forgetting", table.rows.forgetting);
  }
  file_.dataset<float>("last_probability", table.rows.last_probability);
  if (!table.probabilities_alone) {
    file_.dataset<std::uint8_t>("last_correct", table.rows.last_correct);
  } else {
    file_.attribute("columns", std::string(kProbabilityColumns));
  }
  if (history == History::kNo) return;
  file_.attribute(kHistoryEpochs, table.epochs);
  history_ = std::make_unique<HdfMatrixWriter<HalfBits>>(
      file_, kHistory, static_cast<std::size_t>(table.epochs), table.labels.size(),
      HdfChunks::kPartsOfRows);
}

void DynamicsWriter::append_epoch(std::span<const HalfBits> nll) {
  history_->append(nll);
}

void DynamicsWriter::commit() {
  if (history_) history_->finish();
  file_.commit();
}

DynamicsHistory::DynamicsHistory(const std::string& path)
    : path_(path),
      file_(path),
      history_(
          (file_.check_format(kDynamicsFormat, kDynamicsVersion), need_history(file_, path), file_),
          kHistory) {
  if (epochs() != file_.integer("epochs") || epochs() != file_.integer(kHistoryEpochs) ||
      num_samples() != file_.integer("num_samples"))
    throw PruneError(path + ": " + kHistory + " holds " + std::to_string(epochs()) + " epochs of " +
                     std::to_string(num_samples()) + " samples, expected " +
                     std::to_string(file_.integer("epochs")) + " of " +
                     std::to_string(file_.integer("num_samples")));
}

void DynamicsHistory::read(std::int64_t epoch, std::int64_t first,
                           std::span<float> probabilities) const {
  std::vector<HalfBits> nll(probabilities.size());
  history_.read(static_cast<std::size_t>(epoch), static_cast<std::size_t>(first), nll);
  for (std::size_t i = 0; i < nll.size(); ++i) {
    const double value = from_half(nll[i]);
    if (value < 0)
      throw PruneError(path_ + ": " + kHistory + ", epoch " + std::to_string(epoch) + ", sample " +
                       std::to_string(first + static_cast<std::int64_t>(i)) + " is " +
                       std::to_string(value) + ", expected -log p, at least 0");
    probabilities[i] = static_cast<float>(std::exp(-value));
  }
}

std::vector<double> DynamicsHistory::uncertainty(SampleRange range, std::int64_t window) const {
  DynamicsAccumulator accumulator(range, window);
  std::vector<float> probabilities(static_cast<std::size_t>(range.size()));
  std::vector<EpochRecord> records;
  for (std::int64_t epoch = 0; epoch < epochs(); ++epoch) {
    read(epoch, range.first, probabilities);
    records.clear();
    for (std::size_t i = 0; i < probabilities.size(); ++i)
      if (!std::isnan(probabilities[i]))
        records.push_back({static_cast<std::uint32_t>(range.first) + static_cast<std::uint32_t>(i),
                           probabilities[i], 0, 0});
    accumulator.add_epoch(records, DynamicsAccumulator::Unvisited::kAllow);
  }
  std::vector<double> values = accumulator.state().uncertainty_sum;
  const auto windows = static_cast<double>(std::max<std::int64_t>(epochs() - window, 1));
  for (double& value : values) value /= windows;
  return values;
}

void write_dynamics(const std::string& path, const DynamicsTable& table) {
  DynamicsWriter(path, table, DynamicsWriter::History::kNo).commit();
}

DynamicsTable read_dynamics(const std::string& path) {
  const HdfReader file(path);
  file.check_format(kDynamicsFormat, kDynamicsVersion);
  DynamicsTable table;
  table.epochs = file.integer("epochs");
  table.window = file.integer("window");
  table.source = read_source(file, path);
  table.labels = file.dataset<std::int32_t>("label");
  if (file.integer("num_samples") != static_cast<std::int64_t>(table.labels.size())) {
    throw PruneError(path + ": num_samples is " + std::to_string(file.integer("num_samples")) +
                     ", but there are " + std::to_string(table.labels.size()) + " labels");
  }
  table.rows.mean_probability = file.dataset<double>("mean_probability");
  table.rows.uncertainty = file.dataset<double>("uncertainty");
  table.rows.last_probability = file.dataset<float>("last_probability");
  table.probabilities_alone = file.has_attribute("columns");
  if (!table.probabilities_alone) {
    table.rows.aum = file.dataset<float>("aum");
    table.rows.forgetting = file.dataset<std::int32_t>("forgetting");
    table.rows.last_correct = file.dataset<std::uint8_t>("last_correct");
  } else if (file.text("columns") != kProbabilityColumns) {
    throw PruneError(path + ": columns: found '" + file.text("columns") + "', expected '" +
                     kProbabilityColumns + "'");
  }
  check_dynamics(path, table);
  return table;
}

}  // namespace diffprob::prune
