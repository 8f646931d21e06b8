#include "launch/conversion/arguments.h"

#include <algorithm>

#include "data/files/text_lines.h"
#include "data/sets/label_map.h"
#include "launch/config/suggest.h"
#include "prune/error.h"
#include "prune/foreign/label_files.h"

namespace diffprob::launch {
namespace {

using prune::IndexBase;
using prune::ListKind;
using prune::ListMeaning;
using prune::PruneError;
using prune::ScoreValue;

void parse_one(const Override& item, ConversionArguments& arguments,
               std::vector<std::string>& problems) {
  const auto& [key, value] = item;
  const auto choose = [&](auto& target, const std::string& first, auto if_first,
                          const std::string& second, auto if_second) {
    if (value != first && value != second)
      problems.push_back("--" + key + ": expected " + first + " or " + second + ", found '" +
                         value + "'");
    target = value == first ? if_first : if_second;
  };
  if (key == "kind") arguments.kind = value;
  if (key == "to") arguments.to = value;
  if (key == "data") arguments.data = value;
  if (key == "data.root") arguments.root = value;
  if (key == "data.labels") choose(arguments.dense_labels, "as_is", false, "dense", true);
  if (key == "records") choose(arguments.writes_records, "true", true, "false", false);
  if (key == "labels") arguments.labels = value;
  if (key == "subset") arguments.subset = value;
  if (key == "list")
    choose(arguments.list, "kept", ListMeaning::kKept, "dropped", ListMeaning::kDropped);
  if (key == "to-base")
    choose(arguments.to_base, "index", IndexBase::kIndex, "key", IndexBase::kKey);
  if (key == "base") choose(arguments.base, "index", IndexBase::kIndex, "key", IndexBase::kKey);
  if (key == "value")
    choose(arguments.value, "probability", ScoreValue::kProbability, "nll", ScoreValue::kNll);
  if (key == "layout")
    choose(arguments.pack.layout, "insightface", data::RecordLayout::kInsightFace, "im2rec",
           data::RecordLayout::kIm2rec);
  if (key == "shuffle") {
    std::int64_t seed = 0;
    if (!data::parse_number(value, seed) || seed < 0)
      problems.push_back("--shuffle: expected a seed (a whole number from 0), found '" + value +
                         "'");
    arguments.pack.shuffle_seed = static_cast<std::uint64_t>(seed);
  }
  if (key == "epoch") {
    try {
      arguments.epoch = prune::parse_epoch(value);
    } catch (const PruneError& error) {
      problems.push_back(std::string("--") + error.what());
    }
  }
  if (key == "window") {
    constexpr std::int64_t kMostEpochs = 1000;
    if (!data::parse_number(value, arguments.window) || arguments.window < 2 ||
        arguments.window > kMostEpochs)
      problems.push_back("--window: expected a whole number from 2 to 1000, found '" + value + "'");
  }
  if (key == "samples") {
    if (!data::parse_number(value, arguments.samples) || arguments.samples < 1)
      problems.push_back("--samples: expected a whole number above 0, found '" + value + "'");
  }
}

void check_kind(const std::string& key, const std::string& name,
                std::vector<std::string>& problems) {
  if (key == "to" &&
      (name == "dynamics" || name == "suspects" || prune::find_label_file_kind(name)))
    return;
  if (name.empty() || prune::find_list_kind(name) || prune::find_score_file_kind(name)) return;
  std::vector<std::string> names;
  for (const auto& info : prune::list_kinds()) names.emplace_back(info.name);
  for (const auto& info : prune::score_file_kinds()) names.emplace_back(info.name);
  for (const auto& info : prune::label_file_kinds()) names.emplace_back(info.name);
  problems.push_back("--" + key + ": unknown kind '" + name + "'" + suggestion(name, names) +
                     " (diffprob help convert lists them)");
}

/// Says which options give what a list lacks.
std::string option_hint(prune::ListNeedsMore::What missing) {
  if (missing == prune::ListNeedsMore::What::kMeaning)
    return ". Say it with --list=kept or --list=dropped, or with a kind that implies it "
           "(--kind=adaface, ms-celeb: kept; cvlface, cleanlab: dropped)";
  if (missing == prune::ListNeedsMore::What::kNames) return ". Give the data set (--data=PATH)";
  return ". Give the data set (--data=PATH) or the number of its samples (--samples=N)";
}

}  // namespace

ConversionArguments parse_conversion(const CommandLine& line,
                                     const std::vector<std::string>& known) {
  ConversionArguments arguments;
  std::vector<std::string> problems;
  for (const auto& item : line.overrides) {
    if (std::find(known.begin(), known.end(), item.key) == known.end()) {
      problems.push_back("--" + item.key + ": unknown key" + suggestion(item.key, known) +
                         " (diffprob help " + line.command + " lists them)");
    } else {
      parse_one(item, arguments, problems);
    }
  }
  check_kind("kind", arguments.kind, problems);
  check_kind("to", arguments.to, problems);
  if (!problems.empty()) throw ConfigError(problems);
  return arguments;
}

ListContext::ListContext(const ConversionArguments& arguments,
                         std::shared_ptr<const data::Dataset> dataset)
    : arguments_(arguments), dataset_(std::move(dataset)) {
  if (dataset_ != nullptr && arguments.samples > 0 && arguments.samples != dataset_->size())
    throw PruneError("--samples=" + std::to_string(arguments.samples) + ", but the data set has " +
                     std::to_string(dataset_->size()));
}

prune::ListOptions ListContext::input(ListKind kind) {
  prune::ListOptions wanted = options(kind, arguments_.base);
  wanted.meaning = arguments_.list;
  return wanted;
}

prune::ListOptions ListContext::output(ListKind kind) {
  return options(kind, arguments_.to_base);
}

prune::ListOptions ListContext::options(ListKind kind, IndexBase base) {
  prune::ListOptions options;
  options.kind = kind;
  options.base = base;
  options.num_samples = dataset_ != nullptr ? dataset_->size() : arguments_.samples;
  if (dataset_ == nullptr || (kind != ListKind::kNames && kind != ListKind::kMsCeleb))
    return options;
  if (names_.empty()) {
    for (std::int64_t i = 0; i < dataset_->size(); ++i) names_.push_back(dataset_->describe(i));
  }
  options.names = &names_;
  return options;
}

void with_option_hints(const std::function<void()>& work) {
  try {
    work();
  } catch (const prune::ListNeedsMore& error) {
    throw PruneError(error.what() + option_hint(error.missing()));
  }
}

prune::IndexSet read_foreign_list(const std::string& path, const ConversionArguments& arguments,
                                  const std::shared_ptr<const data::Dataset>& dataset) {
  const auto named = prune::find_list_kind(arguments.kind);
  if (!arguments.kind.empty() && !named)
    throw PruneError(path + ": '" + arguments.kind +
                     "' is a kind of scores, expected a kind of lists");
  const ListKind kind = named ? *named : prune::detect_list_kind(path);
  prune::IndexSet set;
  with_option_hints(
      [&] { set = prune::read_list(path, ListContext(arguments, dataset).input(kind)); });
  if (dataset == nullptr) return set;
  const std::string fingerprint = dataset->fingerprint();
  if (!set.dataset_fingerprint.empty() && set.dataset_fingerprint != fingerprint) {
    throw PruneError(path + " was made from another data set (fingerprint " +
                     set.dataset_fingerprint.substr(0, 12) + ", but this one has " +
                     fingerprint.substr(0, 12) + ")");
  }
  set.dataset_fingerprint = fingerprint;
  if (set.label_map.empty()) set.label_map = data::dense_label_map(*dataset, set.kept);
  return set;
}

}  // namespace diffprob::launch
