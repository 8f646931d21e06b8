#include "prune/foreign/prob_folder.h"

#include <algorithm>
#include <filesystem>

#include "data/files/text_lines.h"
#include "prune/error.h"
#include "prune/foreign/score_rows.h"

namespace diffprob::prune {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "prob_";
constexpr std::string_view kSuffix = ".txt";

/// The E of prob_E.txt, or -1.
std::int64_t epoch_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) ||
      name.size() <= kPrefix.size() + kSuffix.size())
    return -1;
  const std::string_view digits =
      name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  std::int64_t epoch = -1;
  if (digits.find_first_not_of("0123456789") != std::string_view::npos ||
      !data::parse_number(digits, epoch))
    return -1;
  return epoch;
}

}  // namespace

std::vector<EpochFile> prob_folder_files(const std::string& folder) {
  std::vector<EpochFile> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::int64_t epoch = epoch_of(entry.path().filename().string());
    if (epoch >= 0) files.push_back({epoch, entry.path().string()});
  }
  if (error) throw PruneError(folder + ": cannot list the folder: " + error.message());
  if (files.empty())
    throw PruneError(folder +
                     ": no file prob_E.txt (E: an epoch) in this folder, as the paper's "
                     "code writes them into pred_prob_fixed and pred_prob_history");
  std::sort(files.begin(), files.end(), [](const EpochFile& a, const EpochFile& b) {
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.path < b.path;
  });
  const auto twice =
      std::adjacent_find(files.begin(), files.end(),
                         [](const EpochFile& a, const EpochFile& b) { return a.epoch == b.epoch; });
  if (twice != files.end())
    throw PruneError(twice->path + " and " + std::next(twice)->path + ": both are epoch " +
                     std::to_string(twice->epoch));
  return files;
}

std::string missing_epochs(std::span<const EpochFile> files) {
  std::string text;
  for (std::size_t i = 1; i < files.size(); ++i) {
    const std::int64_t first = files[i - 1].epoch + 1;
    const std::int64_t last = files[i].epoch - 1;
    if (last < first) continue;
    text += (text.empty() ? "" : ", ") + std::to_string(first);
    if (last > first) text += " to " + std::to_string(last);
  }
  return text;
}

void read_prob_folder(const std::string& folder, const TakeRow& take) {
  std::int64_t row = 0;
  std::size_t samples = 0;
  const auto files = prob_folder_files(folder);
  for (const EpochFile& file : files) {
    read_text_rows(file.path, [&](std::int64_t row_of_file, std::span<const double> values) {
      if (row_of_file > 0)
        throw PruneError(file.path + ": several rows, expected one number a line");
      if (row > 0 && values.size() != samples)
        throw PruneError(file.path + ": " + std::to_string(values.size()) + " scores, but " +
                         files.front().path + " has " + std::to_string(samples));
      samples = values.size();
      take(row, values);
    });
    ++row;
  }
}

ProbFolderWriter::ProbFolderWriter(const std::string& folder) : folder_(folder) {
  std::error_code error;
  if (fs::exists(folder, error) &&
      !(fs::is_directory(folder, error) && fs::is_empty(folder, error)))
    throw PruneError(folder + ": is there already, expected a new or empty folder");
  fs::create_directories(folder, error);
  if (error) throw PruneError(folder + ": cannot be made: " + error.message());
}

void ProbFolderWriter::append(std::span<const double> values) {
  write_text_column(folder_ + "/prob_" + std::to_string(epochs_++) + ".txt", values);
}

}  // namespace diffprob::prune
