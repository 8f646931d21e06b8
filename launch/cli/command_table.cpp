#include <algorithm>

#include "launch/cli/commands.h"
#include "launch/cli/distributed_commands.h"
#include "launch/cli/export.h"
#include "launch/cli/local_commands.h"
#include "launch/cli/manual/completion.h"
#include "launch/cli/report_command.h"
#include "launch/conversion/convert.h"
#include "launch/duplicates/commands.h"
#include "launch/duplicates/overlap.h"
#include "launch/evaluate/eval_command.h"
#include "launch/pipeline/pipeline.h"
#include "launch/pipeline/sweep.h"
#include "launch/score/embed.h"

namespace diffprob::launch {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"run", "the whole job: train, score, clean, prune, retrain, verify", run_pipeline},
      {"sweep", "compare methods, kept ratios and seeds, with intervals", run_sweep},
      {"train", "train one network on a data set or on a kept part of it", train_command},
      {"score", "record the probabilities of every training sample", score_command},
      {"embed", "write the embeddings of every training sample", embed_command},
      {"prune", "select what to keep from a score table", prune_command},
      {"eval", "measure a network, or features, on .bin sets and IJB-B / IJB-C", eval_command},
      {"export", "write a backbone (.onnx, .pth, .safetensors) and class centres", export_command},
      {"data", "make, pack and inspect data sets", data_command},
      {"data dedup", "find copies of images in a training set", dedup_command},
      {"data leaks", "find images of test sets in a training set", leaks_command},
      {"data overlap", "find people who are in two data sets", overlap_command},
      {"convert", "convert foreign scores and lists of samples",
       [](const CommandLine& line) { return convert_command(line, help_text("convert")); }},
      {"report", "make an HTML page of one run, or of several side by side", report_command},
      {"config", "show keys and defaults, check a configuration", config_command},
      {"info", "describe this build and its devices, or the cost of a network", info_command},
      {"completion", "print a completion script for bash or zsh, or the manual page",
       completion_command},
      {"help", "show this text, or that of one command", help_command},
  };
  return table;
}

const Command* find_command(const std::string& name) {
  const auto& table = commands();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Command& command) { return command.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace diffprob::launch
