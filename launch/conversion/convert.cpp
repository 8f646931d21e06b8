#include "launch/conversion/convert.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <filesystem>

#include "data/sets/dataset.h"
#include "launch/conversion/arguments.h"
#include "launch/conversion/history.h"
#include "launch/conversion/label_files.h"
#include "launch/inputs/open_with_progress.h"
#include "prune/error.h"
#include "prune/files/npy_file.h"
#include "prune/foreign/dynamics_import.h"
#include "prune/foreign/label_files.h"
#include "prune/foreign/score_csv.h"
#include "prune/foreign/score_rows.h"
#include "prune/tables/score_table.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

using prune::ListKind;
using prune::PruneError;
using prune::ScoreFileKind;
using prune::ScoreValue;

std::shared_ptr<const data::Dataset> open_given(const ConversionArguments& arguments) {
  return arguments.data.empty() ? nullptr : open_with_progress({arguments.data}, arguments.root);
}

prune::SampleLabels given_labels(const ConversionArguments& arguments) {
  if (!arguments.data.empty() && !arguments.labels.empty())
    throw ConfigError({"--data and --labels: both give labels, expected only one of them"});
  if (!arguments.labels.empty()) return prune::read_labels(arguments.labels);
  const auto dataset = open_given(arguments);
  return dataset == nullptr ? prune::SampleLabels() : labels_of(*dataset);
}

ScoreFileKind score_kind_of_output(const std::string& path, const ConversionArguments& arguments) {
  if (const auto named = prune::find_score_file_kind(arguments.to)) return *named;
  if (!arguments.to.empty())
    throw PruneError("--to=" + arguments.to +
                     ": not a kind of scores; scores are pruned, not listed: diffprob prune "
                     "--prune.scores=FILE");
  for (const auto& info : prune::score_file_kinds()) {
    if (*info.extension != '\0' && path.ends_with(info.extension)) return info.kind;
  }
  throw PruneError(
      path +
      ": unknown output format. Scores can be written as .h5, .csv, .npy, .txt; or give --to=KIND");
}

void check_source(const std::string& path, const prune::ScoreTable& table,
                  const prune::SampleLabels& samples) {
  if (samples.labels.empty()) return;
  const std::string& own = table.source.dataset_fingerprint;
  const bool other_set =
      !own.empty() && !samples.dataset_fingerprint.empty() && own != samples.dataset_fingerprint;
  if (other_set || table.labels != samples.labels)
    throw PruneError(path + ": these scores belong to another data set");
}

prune::ScoreTable read_any_scores(const std::string& path, ScoreFileKind kind,
                                  const ConversionArguments& arguments) {
  const prune::SampleLabels samples = given_labels(arguments);
  if (kind != ScoreFileKind::kScores && kind != ScoreFileKind::kCsv)
    return prune::import_scores(path, arguments.value, arguments.epoch, samples);
  if (kind == ScoreFileKind::kScores) {
    prune::ScoreTable table = prune::read_scores(path);
    check_source(path, table, samples);
    return table;
  }
  std::vector<std::string> ignored;
  prune::ScoreTable table = prune::read_score_csv(path, samples, &ignored);
  for (const auto& name : ignored) fmt::print("{}: unknown column '{}' was skipped\n", path, name);
  return table;
}

/// The probabilities of the samples, or their -log p. Where a score is unknown, or hidden because
/// the sample is mispredicted (kProbClean), stands the paper's mark.
std::vector<float> numbers_of(const prune::ScoreTable& table, ScoreFileKind kind,
                              ScoreValue value) {
  std::vector<float> values;
  values.reserve(table.records.size());
  for (std::size_t i = 0; i < table.records.size(); ++i) {
    const prune::ScoreRecord& record = table.records[i];
    const bool hidden = kind == ScoreFileKind::kProbClean && record.top1 != table.labels[i];
    const float score = value == ScoreValue::kNll ? record.nll : record.probability;
    values.push_back(hidden || std::isnan(score) ? static_cast<float>(prune::kMispredictedMark)
                                                 : score);
  }
  return values;
}

void write_numbers(const std::string& path, ScoreFileKind kind, ScoreValue value,
                   const prune::ScoreTable& table) {
  if (kind == ScoreFileKind::kProbFolder)  // --to=prob-folder is done elsewhere
    throw PruneError(path +
                     ": one score table is one epoch; write it as prob_E.txt "
                     "(--to=prob-text). Folders are written from training dynamics with "
                     "a history, or from a folder of score tables");
  if (kind == ScoreFileKind::kProbClean && !table.columns.has("top1"))
    throw PruneError(path +
                     ": prob-clean marks mispredicted samples, but these scores have no "
                     "column top1");
  if (value == ScoreValue::kNll &&
      (kind == ScoreFileKind::kProbClean || prune::unknown_scores(table) > 0))
    throw PruneError(path +
                     ": the mark -1 stands in place of a probability, not of -log p; leave "
                     "--value=nll out");
  const std::vector<float> values = numbers_of(table, kind, value);
  if (kind == ScoreFileKind::kNpy) return prune::write_npy<float>(path, values);
  prune::write_text_column(path, std::vector<double>(values.begin(), values.end()));
}

int convert_scores(const std::string& from, const std::string& to, ScoreFileKind kind,
                   const ConversionArguments& arguments) {
  const ScoreFileKind wanted = score_kind_of_output(to, arguments);
  const prune::ScoreTable table = read_any_scores(from, kind, arguments);
  if (wanted == ScoreFileKind::kScores) {
    prune::write_scores(to, table);
  } else if (wanted == ScoreFileKind::kCsv) {
    prune::write_score_csv(to, table);
  } else {
    write_numbers(to, wanted, arguments.value, table);
  }
  fmt::print("{}: scores of {} samples, {} identities; columns {}\n", to, table.records.size(),
             table.source.num_classes, table.columns.text());
  if (const auto unknown = prune::unknown_scores(table); unknown > 0)
    fmt::print(
        "{} samples are marked as mispredicted and have no probability: they are dropped by "
        "cleaning, without which the scores cannot be pruned\n",
        unknown);
  if (!table.columns.has("top1"))
    fmt::print("without top1, scores can be pruned but not cleaned (--prune.clean=false)\n");
  return 0;
}

int convert_dynamics(const std::string& from, const std::string& to,
                     const ConversionArguments& arguments) {
  const prune::DynamicsTable table =
      prune::import_dynamics(from, arguments.value, given_labels(arguments), arguments.window);
  prune::write_dynamics(to, table);
  fmt::print(
      "{}: training dynamics of {} samples over {} epochs, from probabilities only: for dynunc, "
      "and diffprob with prune.score\n",
      to, table.labels.size(), table.epochs);
  return 0;
}

ListKind list_kind_of_output(const std::string& path, const ConversionArguments& arguments) {
  if (const auto named = prune::find_list_kind(arguments.to)) return *named;
  if (!arguments.to.empty())
    throw PruneError("--to=" + arguments.to + ": a kind of scores, but this is a list of samples");
  if (path.ends_with(".h5")) return ListKind::kIndexSet;
  if (path.ends_with(".npy")) return ListKind::kNpyIndex;
  if (path.ends_with(".txt")) return ListKind::kKeptIndex;
  throw PruneError(path +
                   ": unknown output format. Lists can be written as .h5, .npy (kept indices), "
                   ".txt (kept_index); or give --to=KIND");
}

int convert_list(const std::string& from, const std::string& to,
                 const ConversionArguments& arguments) {
  const ListKind wanted = list_kind_of_output(to, arguments);
  const auto dataset = open_given(arguments);
  const prune::IndexSet set = read_foreign_list(from, arguments, dataset);
  with_option_hints(
      [&] { prune::write_list(to, wanted, set, ListContext(arguments, dataset).output(wanted)); });
  const auto& info = prune::info_of(wanted);
  const bool dropped = info.meaning == prune::ListMeaning::kDropped;
  fmt::print("{}: {} keeps {} {}samples; written as {}, which lists the {} ones\n", to, from,
             set.kept.size(),
             set.num_samples > 0 ? "of " + std::to_string(set.num_samples) + " " : "", info.name,
             dropped ? "dropped" : "kept");
  return 0;
}

template <class Infos>
std::string table_of(const Infos& infos, const char* (*says)(const decltype(infos[0])&)) {
  std::string text;
  for (const auto& info : infos)
    text += fmt::format("  {:<18}{:<9}{}\n", info.name, says(info), info.what);
  return text;
}

}  // namespace

std::string kinds_text() {
  std::string text = "  kind              names    form\n";
  text += table_of(
      prune::list_kinds(), +[](const prune::ListKindInfo& info) {
        return info.meaning == prune::ListMeaning::kUnsaid ? "--list="
                                                           : prune::meaning_name(info.meaning);
      });
  text += table_of(
      prune::score_file_kinds(), +[](const prune::ScoreFileKindInfo&) { return "scores"; });
  return text +
         table_of(
             prune::label_file_kinds(), +[](const prune::LabelFileKindInfo&) { return "labels"; });
}

int convert_command(const CommandLine& line, const std::string& usage) {
  if (line.positional.size() != 2) throw ConfigError({"usage:\n" + usage});
  const auto arguments =
      parse_conversion(line, {"kind", "to", "list", "data", "data.root", "labels", "samples",
                              "base", "to-base", "value", "epoch", "window"});
  const std::string& from = line.positional[0];
  const std::string& to = line.positional[1];
  std::error_code none;
  if (fs::equivalent(from, to, none))
    throw ConfigError({to + ": is the input itself, expected another file"});
  if (arguments.to == "prob-folder") return convert_to_prob_folder(from, to);
  if (arguments.to == "suspects") return convert_to_suspects(from, to, arguments);
  if (converts_labels(from, to, arguments)) return convert_labels(from, to, arguments);
  if (arguments.to == "dynamics") return convert_dynamics(from, to, arguments);
  const auto kind = arguments.kind.empty() ? prune::detect_score_file_kind(from)
                                           : prune::find_score_file_kind(arguments.kind);
  return kind ? convert_scores(from, to, *kind, arguments) : convert_list(from, to, arguments);
}

}  // namespace diffprob::launch
