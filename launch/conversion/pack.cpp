#include <spdlog/fmt/fmt.h>

#include <filesystem>
#include <numeric>

#include "data/records/pack_records.h"
#include "data/sets/label_map.h"
#include "launch/conversion/arguments.h"
#include "launch/conversion/convert.h"
#include "launch/inputs/open_with_progress.h"

namespace diffprob::launch {
namespace fs = std::filesystem;

void refuse_same_folder(const std::string& from, const std::string& to) {
  std::error_code none;
  const fs::path folder =
      fs::is_directory(from, none) ? fs::path(from) : fs::path(from).parent_path();
  if (fs::equivalent(folder.empty() ? fs::path(".") : folder, to, none))
    throw ConfigError({to + ": is the folder of the input set, expected another folder"});
}

namespace {

void check_pack_options(const CommandLine& line, const ConversionArguments& arguments) {
  std::vector<std::string> problems;
  for (const auto& item : line.overrides) {
    const bool of_list = item.key == "kind" || item.key == "list" || item.key == "base";
    if (of_list && arguments.subset.empty())
      problems.push_back("--" + item.key + ": applies to --subset=LIST, which is missing");
  }
  if (arguments.pack.shuffle_seed.has_value() &&
      arguments.pack.layout != data::RecordLayout::kIm2rec)
    problems.push_back(
        "--shuffle: the InsightFace layout groups the images by identity; add --layout=im2rec to "
        "write them in a shuffled order");
  if (!problems.empty()) throw ConfigError(problems);
}

/// What the files beside the set hold.
std::string companions(const ConversionArguments& arguments) {
  const std::string source = "source_index.txt: one old index per line";
  if (!arguments.subset.empty() || arguments.dense_labels)
    return " (label_map.txt: old label to new; " + source + ")";
  return arguments.pack.shuffle_seed.has_value() ? " (" + source + ")" : "";
}

}  // namespace

int pack_command(const CommandLine& line, const std::string& usage) {
  if (line.positional.size() != 3) throw ConfigError({"usage:\n" + usage});
  const auto arguments = parse_conversion(
      line, {"subset", "kind", "list", "base", "layout", "shuffle", "data.root", "data.labels"});
  const std::string& from = line.positional[1];
  const std::string& to = line.positional[2];
  check_pack_options(line, arguments);
  refuse_same_folder(from, to);
  const auto dataset = open_with_progress({from}, arguments.root);
  if (arguments.subset.empty() && arguments.dense_labels) {
    std::vector<std::int64_t> all(static_cast<std::size_t>(dataset->size()));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    const auto packed =
        data::pack_subset(dataset, all, data::dense_label_map(*dataset, all), to, arguments.pack);
    fmt::print("packed {} images of {} identities, renumbered from {} labels, into {}{}\n",
               packed.images, packed.identities, dataset->num_classes(), to, companions(arguments));
    return 0;
  }
  if (arguments.subset.empty()) {
    const auto packed = data::pack_records(*dataset, to, arguments.pack);
    fmt::print("packed {} images of {} identities into {}{}\n", packed.images, packed.identities,
               to, companions(arguments));
    return 0;
  }
  const prune::IndexSet set = read_foreign_list(arguments.subset, arguments, dataset);
  const auto packed = data::pack_subset(dataset, set.kept, set.label_map, to, arguments.pack);
  fmt::print("packed {} of {} images and {} of {} identities into {}{}\n", packed.images,
             dataset->size(), packed.identities, dataset->num_classes(), to, companions(arguments));
  return 0;
}

}  // namespace diffprob::launch
