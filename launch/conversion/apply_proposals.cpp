#include <spdlog/fmt/fmt.h>

#include <filesystem>

#include "data/files/atomic_file.h"
#include "data/records/pack_records.h"
#include "data/sets/relabelled.h"
#include "launch/conversion/arguments.h"
#include "launch/conversion/convert.h"
#include "launch/inputs/open_with_progress.h"
#include "prune/lists/kept_index_writer.h"
#include "prune/proposals/apply.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

void check_options(const CommandLine& line, const ConversionArguments& arguments) {
  std::vector<std::string> problems;
  for (const auto& item : line.overrides)
    if ((item.key == "layout" || item.key == "shuffle") && !arguments.writes_records)
      problems.push_back("--" + item.key + ": applies to --records=true, which is missing");
  if (arguments.pack.shuffle_seed && arguments.pack.layout != data::RecordLayout::kIm2rec)
    problems.push_back("--shuffle: needs --layout=im2rec");
  if (!problems.empty()) throw ConfigError(problems);
}

void write_labels(const std::string& path, const std::vector<std::int64_t>& labels) {
  std::string text;
  for (const std::int64_t label : labels) text += std::to_string(label) + "\n";
  data::write_file_atomically(path, text);
}

}  // namespace

int apply_proposals_command(const CommandLine& line, const std::string& usage) {
  if (line.positional.size() != 4) throw ConfigError({"usage:\n" + usage});
  const auto arguments = parse_conversion(line, {"records", "layout", "shuffle", "data.root"});
  const std::string& from = line.positional[1];
  const std::string& proposals = line.positional[2];
  const std::string& to = line.positional[3];
  check_options(line, arguments);
  refuse_same_folder(from, to);
  const auto dataset = open_with_progress({from}, arguments.root);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < dataset->size(); ++i) labels.push_back(dataset->label(i));
  const prune::AppliedProposals applied = prune::apply_proposals(
      proposals, prune::read_proposals(proposals), labels, dataset->num_classes());
  fs::create_directories(to);
  if (arguments.writes_records)
    data::pack_relabelled(data::Relabelled(dataset, applied.labels, applied.num_classes),
                          applied.label_map, to, arguments.pack);
  else
    prune::write_label_map_text(to + "/label_map.txt", applied.label_map);
  write_labels(to + "/labels.txt", applied.labels);
  fmt::print(
      "{}: {} samples relabelled, {} merges of identities, {} identities split ({} samples); {} "
      "identities became {}{}\n",
      to, applied.relabels, applied.merges, applied.splits, applied.split_samples,
      dataset->num_classes(), applied.num_classes,
      arguments.writes_records ? fmt::format(", packed with {} images", dataset->size()) : "");
  return 0;
}

}  // namespace diffprob::launch
