#include "launch/cli/local_commands.h"

#include <spdlog/spdlog.h>
#include <torch/version.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "data/records/record_io.h"
#include "data/sets/dataset.h"
#include "dist/gpu/device.h"
#include "launch/cli/commands.h"
#include "launch/cli/data_check.h"
#include "launch/config/help.h"
#include "launch/conversion/convert.h"
#include "launch/inputs/open_with_progress.h"
#include "launch/inputs/synthetic.h"
#include "launch/job/read_config.h"
#include "model/networks/backbone.h"
#include "model/networks/network_info.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

bool has_flag(const CommandLine& line, const std::string& flag) {
  return std::find(line.flags.begin(), line.flags.end(), flag) != line.flags.end();
}

[[noreturn]] void bad_usage(const std::string& command) {
  throw ConfigError({"usage:\n" + help_text(command)});
}

int show_data(const std::string& path, const std::string& list_root = "") {
  const auto dataset = open_with_progress({path}, list_root);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(dataset->num_classes()), 0);
  for (std::int64_t i = 0; i < dataset->size(); ++i)
    ++counts[static_cast<std::size_t>(dataset->label(i))];
  std::sort(counts.begin(), counts.end());
  fmt::print("{}\n  images       {}\n  identities   {}\n", path, dataset->size(),
             dataset->num_classes());
  if (!counts.empty()) {
    fmt::print("  images per identity  min {}  median {}  max {}  without any {}\n", counts.front(),
               counts[counts.size() / 2], counts.back(),
               std::count(counts.begin(), counts.end(), 0));
  }
  const data::LeftOut rest = dataset->left_out();
  if (rest.count > 0) fmt::print("  left out     {}, the first: {}\n", rest.count, rest.first);
  fmt::print("  fingerprint  {}\n", dataset->fingerprint());
  return 0;
}

/// Value of --data.root, the only key of `data info`.
std::string list_root_of(const CommandLine& line) {
  std::string root;
  for (const auto& item : line.overrides) {
    if (item.key != "data.root")
      throw ConfigError({"--" + item.key + ": unknown key (data info takes --data.root=FOLDER)"});
    root = item.value;
  }
  return root;
}

int describe_network(const std::string& name, std::int64_t dim) {
  const model::NetworkInfo info = model::network_info({name, dim, 0.0, 1});
  fmt::print(
      "{} with {}-d embeddings\n  parameters    {} ({} trained)\n  MACs          {} per image "
      "(convolutions, linear layers, attention)\n",
      name, dim, info.parameters, info.trainable_parameters, info.macs);
  return 0;
}

}  // namespace

int config_command(const CommandLine& line) {
  if (has_flag(line, "print-defaults")) {
    fmt::print("{}", dump_config(Config(), DumpStyle::kWithHelp));
  } else {
    fmt::print("{}", dump_config(read_config(line), DumpStyle::kPlain));
  }
  return 0;
}

int data_command(const CommandLine& line) {
  const auto& words = line.positional;
  const std::string action = words.empty() ? "" : words[0];
  if (action == "info" && words.size() == 2) return show_data(words[1], list_root_of(line));
  if (action == "check") return check_command(line);
  if (action == "pack") return pack_command(line, help_text("data"));
  if (action == "apply-proposals") return apply_proposals_command(line, help_text("data"));
  if (action == "synth" && words.size() == 2) {
    const Config config = parse_config("", "", line.overrides);
    fs::create_directories(words[1]);
    data::write_synthetic_faces(words[1], synthetic_options(config));
    return show_data(words[1]);
  }
  bad_usage("data");
}

int info_command(const CommandLine& line) {
  std::string network;
  std::int64_t dim = 512;
  for (const auto& item : line.overrides) {
    if (item.key == "model") network = item.value;
    if (item.key == "dim") dim = std::stoll(item.value);
    if (item.key != "model" && item.key != "dim") bad_usage("info");
  }
  if (!network.empty()) return describe_network(network, dim);
  fmt::print("diffprob {}\n  LibTorch   {}\n  devices    {}\n  backbones ", DIFFPROB_VERSION,
             TORCH_VERSION, dist::describe_devices());
  for (const auto& name : model::backbone_names()) fmt::print(" {}", name);
  fmt::print("\n");
  return 0;
}

int help_command(const CommandLine& line) {
  if (line.command == "config" && !line.positional.empty()) {
    fmt::print("{}", config_help(line.positional[0]));
    return 0;
  }
  const std::string topic =
      line.command == "help" ? (line.positional.empty() ? "" : line.positional[0]) : line.command;
  fmt::print("{}", help_text(topic));
  return line.command.empty() && !has_flag(line, "help") ? 2 : 0;
}

int run_local_command(const CommandLine& line) {
  if (has_flag(line, "version")) {
    fmt::print("diffprob {}\n", DIFFPROB_VERSION);
    return 0;
  }
  if (line.command.empty() || has_flag(line, "help")) return help_command(line);
  const Command& command = *find_command(line.command);
  return command.needs_ranks() ? -1 : std::get<LocalFunction>(command.run)(line);
}

}  // namespace diffprob::launch
