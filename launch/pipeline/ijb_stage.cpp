#include "data/error.h"
#include "data/files/sha256.h"
#include "dist/mpi/agreement.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/network.h"
#include "launch/evaluate/ijb_set.h"
#include "launch/evaluate/pair_files.h"
#include "launch/evaluate/results.h"
#include "launch/observe/json_file.h"
#include "launch/pipeline/stages.h"
#include "launch/score/given_model.h"

namespace diffprob::launch {
namespace {

constexpr const char* kResults = "ijb.json";
constexpr const char* kCurves = "roc.csv";

/// The files that say what is compared with what. Images are too many to be digested.
std::vector<std::string> lists_of(const std::string& folder) {
  const eval::IjbFiles files = eval::find_ijb_files(folder);
  std::vector<std::string> lists = {files.face_tid_mid, files.name_5pts_score,
                                    files.template_pair_label};
  lists.insert(lists.end(), files.galleries.begin(), files.galleries.end());
  if (!files.probes.empty()) lists.push_back(files.probes);
  return lists;
}

}  // namespace

nlohmann::json PipelineStages::ijb_with(const std::string& name, const std::string& checkpoint) {
  if (config_.eval.ijb.empty()) return nlohmann::json::array();
  return ijb_by(name, checkpoint_fingerprint(checkpoint),
                [&] { return load_network(checkpoint, {}, runtime_.device()); });
}

nlohmann::json PipelineStages::ijb_given(const std::string& name) {
  if (config_.eval.ijb.empty()) return nlohmann::json::array();
  return ijb_by(name, given_, [&] { return load_given_network(config_, runtime_); });
}

nlohmann::json PipelineStages::ijb_by(const std::string& name, const std::string& fingerprint,
                                      const std::function<LoadedNetwork()>& load) {
  std::string lists;
  for (const auto& folder : config_.eval.ijb)
    for (const auto& file : lists_of(folder)) lists += digest_of(file) + "\n";
  const std::string inputs = dump_sections(config_, {"eval.ijb_variants", "eval.precision"}) +
                             "network=" + fingerprint + "\nlists=" + data::sha256_hex(lists) + "\n";
  Stage stage = open_stage(name, {inputs, inputs});
  if (stage.done()) return read_json(stage.path(kResults));

  std::vector<std::string> made = {kResults};
  IjbOutputs outputs{stage.folder()};
  outputs.roc = [&](const std::string& set, const std::string& variant) {
    made.push_back(file_of_parts(kCurves, {set, variant}));
    return stage.path(made.back());
  };
  const LoadedNetwork network = load();
  nlohmann::json results = nlohmann::json::array();
  for (const IjbSet& set : open_ijb_sets(config_, runtime_))
    results.push_back(
        ijb_to_json(set.folder(), set.evaluate(*network.backbone, config_, outputs, runtime_)));
  dist::together<data::DataError>(runtime_.control(), [&] {
    if (runtime_.is_root()) write_json(stage.path(kResults), results);
  });
  stage.complete({{"sets", config_.eval.ijb.size()}}, made);
  return results;
}

}  // namespace diffprob::launch
