#include "prune/foreign/score_file_kinds.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "data/files/text_lines.h"
#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/files/npy_file.h"
#include "prune/foreign/score_csv.h"

namespace diffprob::prune {
namespace {

constexpr std::array<ScoreFileKindInfo, 6> kKinds = {{
    {ScoreFileKind::kScores, "scores", ".h5", "diffprob HDF5 score table (.h5)"},
    {ScoreFileKind::kCsv, "csv", ".csv",
     "CSV with a header line: probability or nll, and label, index, top1 ..."},
    {ScoreFileKind::kNpy, "npy-scores", ".npy", ".npy of floats: [samples], or [epochs, samples]"},
    {ScoreFileKind::kText, "prob-text", ".txt",
     "text of floats as numpy.savetxt writes it (the paper's prob_*.txt)"},
    {ScoreFileKind::kProbClean, "prob-clean", "",
     "the same, with -1 for mispredicted samples (the paper's pred_prob_clean)"},
    {ScoreFileKind::kProbFolder, "prob-folder", "",
     "folder of prob_E.txt, one file per epoch (pred_prob_fixed, _clean, _history)"},
}};

std::optional<ScoreFileKind> detect_hdf5(const std::string& path) {
  const std::string format = HdfReader(path).text("format");
  if (format == "diffprob-scores") return ScoreFileKind::kScores;
  if (format == "diffprob-index-set") return std::nullopt;
  if (format == "diffprob-dynamics")
    throw PruneError(path +
                     ": training dynamics, which become a folder of prob_E.txt "
                     "(--to=prob-folder, with a history), label-dict or labels");
  throw PruneError(path + ": format '" + data::printable(format) +
                   "', expected diffprob-scores or diffprob-index-set");
}

/// The first number is not a whole one.
bool begins_with_a_float(const std::string& path) {
  data::TextLines lines(path);
  while (lines.next()) {
    if (lines.text().starts_with('#')) continue;
    std::vector<std::string_view> fields;
    data::split(lines.text(), lines.text().find(',') == std::string_view::npos ? ' ' : ',', fields);
    std::int64_t whole = 0;
    double number = 0;
    return data::parse_number(fields.front(), number) && !data::parse_number(fields.front(), whole);
  }
  return false;
}

}  // namespace

std::span<const ScoreFileKindInfo> score_file_kinds() {
  return kKinds;
}

std::optional<ScoreFileKind> find_score_file_kind(std::string_view name) {
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const ScoreFileKindInfo& info) { return name == info.name; });
  return found == kKinds.end() ? std::nullopt : std::optional(found->kind);
}

std::optional<ScoreFileKind> detect_score_file_kind(const std::string& path) {
  if (std::filesystem::is_directory(path)) return ScoreFileKind::kProbFolder;
  if (path.ends_with(".h5") || is_hdf5_file(path)) return detect_hdf5(path);
  if (path.ends_with(".npy") || is_npy_file(path))
    return NpyFile(path).is_float() ? std::optional(ScoreFileKind::kNpy) : std::nullopt;
  if (is_score_csv(path)) return ScoreFileKind::kCsv;
  return begins_with_a_float(path) ? std::optional(ScoreFileKind::kText) : std::nullopt;
}

}  // namespace diffprob::prune
