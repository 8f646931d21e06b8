#include "launch/conversion/label_files.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "launch/inputs/open_with_progress.h"
#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/foreign/label_files.h"
#include "prune/lists/kept_index_writer.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

using prune::LabelFileKind;
using prune::PruneError;

/// A pickle, or text that begins as a dictionary does.
bool is_label_map(const std::string& path) {
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return false;
  if (prune::is_pickle_file(path)) return true;
  std::ifstream in(path);
  char first = 0;
  return static_cast<bool>(in >> first) && first == '{';
}

std::vector<std::int64_t> label_map_from(const std::string& from,
                                         const ConversionArguments& arguments) {
  if (is_label_map(from)) return prune::read_label_map(from);
  const auto dataset =
      arguments.data.empty() ? nullptr : open_with_progress({arguments.data}, arguments.root);
  const prune::IndexSet set = read_foreign_list(from, arguments, dataset);
  const auto& map = set.whole ? set.whole->label_map : set.label_map;
  if (map.empty())
    throw PruneError(from +
                     ": has no label map; give the data set (--data=PATH), from which it "
                     "follows");
  return map;
}

std::vector<std::int32_t> labels_from(const std::string& from,
                                      const ConversionArguments& arguments) {
  if (prune::is_hdf5_file(from)) return prune::HdfReader(from).dataset<std::int32_t>("label");
  std::error_code none;
  const bool data_set =
      fs::is_directory(from, none) || from.ends_with(".rec") || from.ends_with(".lst");
  return data_set ? labels_of(*open_with_progress({from}, arguments.root)).labels
                  : prune::read_labels(from).labels;
}

}  // namespace

bool converts_labels(const std::string& from, const std::string& to,
                     const ConversionArguments& arguments) {
  if (!arguments.to.empty()) return prune::find_label_file_kind(arguments.to).has_value();
  return to.ends_with(".pkl") || (arguments.kind.empty() && is_label_map(from));
}

prune::SampleLabels labels_of(const data::Dataset& dataset) {
  prune::SampleLabels samples;
  samples.num_classes = dataset.num_classes();
  samples.dataset_fingerprint = dataset.fingerprint();
  samples.labels.reserve(static_cast<std::size_t>(dataset.size()));
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    samples.labels.push_back(static_cast<std::int32_t>(dataset.label(i)));
  return samples;
}

int convert_labels(const std::string& from, const std::string& to,
                   const ConversionArguments& arguments) {
  const auto named = prune::find_label_file_kind(arguments.to);
  const LabelFileKind kind = named                  ? *named
                             : to.ends_with(".pkl") ? LabelFileKind::kLabelMapPickle
                                                    : LabelFileKind::kLabelMap;
  if (kind == LabelFileKind::kLabelMap || kind == LabelFileKind::kLabelMapPickle) {
    const auto map = label_map_from(from, arguments);
    if (kind == LabelFileKind::kLabelMap)
      prune::write_label_map_text(to, map);
    else
      prune::write_label_map_pickle(to, map);
    fmt::print(
        "{}: label map of {} labels; {} of them are kept\n", to, map.size(),
        std::count_if(map.begin(), map.end(), [](std::int64_t label) { return label >= 0; }));
    return 0;
  }
  const auto labels = labels_from(from, arguments);
  if (kind == LabelFileKind::kLabelDict)
    prune::write_label_dict(to, labels);
  else
    prune::write_labels(to, labels);
  fmt::print("{}: labels of {} samples\n", to, labels.size());
  return 0;
}

}  // namespace diffprob::launch
