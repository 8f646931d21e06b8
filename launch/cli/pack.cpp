#include <spdlog/fmt/fmt.h>

#include <filesystem>

#include "data/open_dataset.h"
#include "data/records/pack_records.h"
#include "launch/cli/conversion_arguments.h"
#include "launch/cli/convert.h"

namespace diffprob::launch {
namespace fs = std::filesystem;

void refuse_same_folder(const std::string& from, const std::string& to) {
  std::error_code none;
  const fs::path folder =
      fs::is_directory(from, none) ? fs::path(from) : fs::path(from).parent_path();
  if (fs::equivalent(folder.empty() ? fs::path(".") : folder, to, none))
    throw ConfigError({to + ": is the folder of the input set, expected another folder"});
}

int pack_command(const CommandLine& line) {
  if (line.positional.size() != 3) throw ConfigError({"usage:\n" + help_text("data")});
  const auto arguments = parse_conversion(line, {"subset", "kind", "list", "base"});
  const std::string& from = line.positional[1];
  const std::string& to = line.positional[2];
  if (arguments.subset.empty() && !line.overrides.empty())
    throw ConfigError({"--kind, --list and --base apply to --subset=LIST, which is missing"});
  refuse_same_folder(from, to);
  const auto dataset = data::open_dataset(from);
  if (arguments.subset.empty()) {
    const auto packed = data::pack_records(*dataset, to);
    fmt::print("packed {} images of {} identities into {}\n", packed.images, packed.identities, to);
    return 0;
  }
  const prune::IndexSet set = read_foreign_list(arguments.subset, arguments, dataset);
  const auto packed = data::pack_subset(dataset, set.kept, set.label_map, to);
  fmt::print(
      "packed {} of {} images and {} of {} identities into {} (label_map.txt: old label to new; "
      "source_index.txt: one old index per line)\n",
      packed.images, dataset->size(), packed.identities, dataset->num_classes(), to);
  return 0;
}

}  // namespace diffprob::launch
