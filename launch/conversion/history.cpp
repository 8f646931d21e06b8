#include "launch/conversion/history.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "launch/inputs/open_with_progress.h"
#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/foreign/prob_folder.h"
#include "prune/foreign/score_rows.h"
#include "prune/tables/dynamics_file.h"
#include "prune/tables/score_table.h"
#include "prune/tables/suspects.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

using prune::PruneError;

/// Score tables of a folder by rising step, or none.
std::vector<std::string> score_tables(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".h5") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  return paths;
}

void write_tables(const std::vector<std::string>& paths, prune::ProbFolderWriter& writer) {
  std::vector<std::int32_t> labels;
  for (const std::string& path : paths) {
    const prune::ScoreTable table = prune::read_scores(path);
    if (writer.epochs() > 0 && table.labels != labels)
      throw PruneError(path + ": scores of another data set than " + paths.front());
    labels = table.labels;
    std::vector<double> row;
    for (const auto& record : table.records)
      row.push_back(std::isnan(record.probability) ? prune::kMispredictedMark
                                                   : static_cast<double>(record.probability));
    writer.append(row);
  }
}

void write_history(const std::string& from, prune::ProbFolderWriter& writer) {
  const prune::DynamicsHistory history(from);
  std::vector<float> probabilities(static_cast<std::size_t>(history.num_samples()));
  for (std::int64_t epoch = 0; epoch < history.epochs(); ++epoch) {
    history.read(epoch, 0, probabilities);
    std::vector<double> row(probabilities.begin(), probabilities.end());
    std::replace_if(
        row.begin(), row.end(), [](double p) { return std::isnan(p); }, 0.0);
    writer.append(row);
  }
}

}  // namespace

int convert_to_prob_folder(const std::string& from, const std::string& to) {
  std::error_code none;
  const bool is_folder = fs::is_directory(from, none);
  const auto tables = is_folder ? score_tables(from) : std::vector<std::string>();
  if (!is_folder && prune::is_hdf5_file(from) &&
      prune::HdfReader(from).text("format") == "diffprob-scores")
    throw PruneError(from +
                     ": one score table is one epoch; write it as prob_E.txt "
                     "(--to=prob-text or --to=prob-clean)");
  prune::ProbFolderWriter writer(to);
  if (!tables.empty()) {
    write_tables(tables, writer);
  } else if (!is_folder && prune::is_hdf5_file(from)) {
    write_history(from, writer);
  } else {
    prune::read_score_rows(from,
                           [&](std::int64_t, std::span<const double> row) { writer.append(row); });
  }
  fmt::print("{}: {} files prob_E.txt\n", to, writer.epochs());
  return 0;
}

int convert_to_suspects(const std::string& from, const std::string& to,
                        const ConversionArguments& arguments) {
  const prune::ScoreTable table = prune::read_scores(from);
  prune::DescribeSample describe;
  if (!arguments.data.empty()) {
    const auto dataset = open_with_progress({arguments.data}, arguments.root);
    if (dataset->size() != static_cast<std::int64_t>(table.records.size()) ||
        dataset->fingerprint() != table.source.dataset_fingerprint)
      throw PruneError(from + ": these scores belong to another data set than " + arguments.data);
    describe = [dataset](std::int64_t sample) { return dataset->describe(sample); };
  }
  const auto suspects = prune::suspects_of(from, table);
  prune::write_suspects(to, suspects, table.source.margin, describe);
  fmt::print("{}: {} mispredicted samples of {}, the most suspicious first\n", to, suspects.size(),
             table.records.size());
  return 0;
}

}  // namespace diffprob::launch
