#include "launch/evaluate/output_files.h"

#include <unistd.h>

#include <filesystem>
#include <set>
#include <stdexcept>

#include "data/error.h"
#include "data/sets/set_names.h"
#include "dist/mpi/agreement.h"
#include "launch/evaluate/pair_files.h"
#include "launch/evaluate/table_file.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

/// What is wrong with a file that an evaluation is to write.
void check_output_file(const std::string& key, const std::string& file,
                       std::vector<std::string>& problems) {
  if (file.empty()) return;
  const std::string folder = fs::path(file).parent_path().string();
  std::error_code error;
  if (!folder.empty() && !fs::is_directory(folder, error))
    problems.push_back(key + ": the folder " + folder + " does not exist");
  else if (::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) != 0)
    problems.push_back(key + ": no file can be written to " + (folder.empty() ? "." : folder));
  else if (fs::is_directory(file, error))
    problems.push_back(key + ": " + file + " is a folder, expected the name of a file");
}

/// Names of sets that would share a file: those that differ in a slash only.
void check_names(const Config& config, std::vector<std::string>& problems) {
  if (config.eval.scores.empty() && config.eval.roc.empty()) return;
  std::set<std::string> files;
  try {
    std::vector<std::string> names = data::set_names(config.eval.sets);
    const std::vector<std::string> more = ijb_names(config.eval.ijb);
    names.insert(names.end(), more.begin(), more.end());
    for (const std::string& name : names) {
      if (!files.insert(file_of_parts("x.csv", {name})).second)
        problems.push_back("eval.scores, eval.roc: two sets have the name " + name +
                           ", so that their files would too; rename one");
    }
  } catch (const std::exception&) {  // reported where the sets are checked
  }
}

}  // namespace

OutputFiles::OutputFiles(const Config& config, bool many_networks)
    : config_(config),
      many_networks_(many_networks),
      many_sets_(config.eval.sets.size() + config.eval.ijb.size() > 1),
      many_variants_(config.eval.ijb_variants.size() > 1) {}

std::string OutputFiles::name(const std::string& file, const std::string& network,
                              const std::string& set, const std::string& variant) const {
  if (file.empty()) return "";
  return file_of_parts(
      file, {many_networks_ ? network : "", many_sets_ ? set : "", many_variants_ ? variant : ""});
}

IjbOutputs OutputFiles::of_ijb(const std::string& network) const {
  IjbOutputs outputs;
  outputs.folder = config_.output;
  outputs.scores = [this, network](const std::string& set, const std::string& variant) {
    return name(config_.eval.scores, network, set, variant);
  };
  outputs.roc = [this, network](const std::string& set, const std::string& variant) {
    return name(config_.eval.roc, network, set, variant);
  };
  return outputs;
}

void OutputFiles::write(const std::string& network, const data::VerificationSet& set,
                        const eval::VerifiedSet& verified, Runtime& runtime) const {
  const std::string scores = name(config_.eval.scores, network, set.name);
  const std::string roc = name(config_.eval.roc, network, set.name);
  dist::together<data::DataError>(runtime.control(), [&] {
    if (!runtime.is_root()) return;
    if (!scores.empty()) write_pair_scores(scores, set, verified);
    if (!roc.empty()) write_roc(roc, set, verified);
  });
}

std::vector<std::string> output_file_problems(const Config& config) {
  const EvalConfig& e = config.eval;
  std::vector<std::string> problems;
  check_output_file("eval.json", e.json, problems);
  check_output_file("eval.scores", e.scores, problems);
  check_output_file("eval.roc", e.roc, problems);
  try {
    if (!e.scores.empty()) (void)table_form(e.scores);
  } catch (const std::invalid_argument& error) {
    problems.push_back(std::string("eval.scores: ") + error.what());
  }
  if (!e.roc.empty() && !e.roc.ends_with(".csv"))
    problems.push_back("eval.roc: " + e.roc + ": expected a name that ends with .csv");
  check_names(config, problems);
  return problems;
}

}  // namespace diffprob::launch
