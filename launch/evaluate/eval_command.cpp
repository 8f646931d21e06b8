#include "launch/evaluate/eval_command.h"

#include <spdlog/spdlog.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "dist/mpi/agreement.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/network.h"
#include "launch/checkpoint/network_list.h"
#include "launch/evaluate/feature_file.h"
#include "launch/evaluate/ijb_set.h"
#include "launch/evaluate/network_table.h"
#include "launch/evaluate/output_files.h"
#include "launch/evaluate/results.h"
#include "launch/evaluate/verification_file.h"
#include "launch/evaluate/verify.h"
#include "launch/inputs/open_data.h"
#include "launch/job/output_folder.h"
#include "launch/job/signals.h"
#include "launch/observe/json_file.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

bool two_views(const Config& config) {
  return config.eval.features_hold == FeaturesHold::kImageAndMirror;
}

/// Opened by all ranks; `images`: rows that it must have.
std::shared_ptr<FeatureFile> open_features(const Config& config, std::int64_t images,
                                           const std::string& of, Runtime& runtime) {
  std::shared_ptr<FeatureFile> file;
  dist::together<data::DataError>(runtime.control(), [&] {
    file = std::make_shared<FeatureFile>(config.eval.features, config.eval.features_dataset);
    TORCH_CHECK(file->rows() == images, config.eval.features, ": ", file->rows(),
                " rows, expected ", images, ", one per image of ", of);
    TORCH_CHECK(!two_views(config) || file->columns() % 2 == 0, config.eval.features, ": rows of ",
                file->columns(),
                " numbers cannot hold image and mirror image (eval.features_hold)");
  });
  return file;
}

/// Mean length of the features of all views of all images. rows: [images, views * dim]
double norm_of_features(const at::Tensor& rows, std::int64_t views) {
  return eval::mean_length(rows.view({rows.size(0) * views, -1}));
}

eval::VerifiedSet verify_features(const data::VerificationSet& set, const Config& config,
                                  Runtime& runtime) {
  const auto images = static_cast<std::int64_t>(set.images.size());
  const auto file = open_features(config, images, set.name, runtime);
  at::Tensor rows = at::empty({images, file->columns()}, at::kFloat);
  dist::together<data::DataError>(runtime.control(), [&] {
    for (std::int64_t i = 0; i < images; ++i)
      file->read_row(i, {rows.mutable_data_ptr<float>() + i * file->columns(),
                         static_cast<std::size_t>(file->columns())});
  });
  eval::VerifiedSet verified;
  const double norm = norm_of_features(rows, two_views(config) ? 2 : 1);
  if (two_views(config)) rows = rows.view({images, 2, -1}).sum(1);
  verified.distances = eval::pair_distances(rows);
  verified.report =
      eval::report_pairs(set.name, verified.distances, set.same, config.eval.embedder.folds);
  verified.report.feature_norm = norm;
  return verified;
}

eval::ImageFeatures features_of_file(const std::shared_ptr<FeatureFile>& file, bool views) {
  const auto read = [file](std::span<const std::int64_t> rows, std::span<float> features,
                           std::span<std::uint8_t> there) {
    const auto width = static_cast<std::size_t>(file->columns());
    for (std::size_t i = 0; i < rows.size(); ++i)
      file->read_row(rows[i], features.subspan(i * width, width));
    std::fill(there.begin(), there.end(), std::uint8_t{1});
  };
  return {views ? file->columns() / 2 : file->columns(), views ? 2 : 1, read};
}

/// A network of a folder that cannot be used; the others are evaluated all the same.
class UnusableNetwork : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void check_finite(const model::Backbone& backbone, const std::string& path) {
  for (const auto& [name, tensor] : model::state_dict(backbone)) {
    if (tensor.is_floating_point() && !at::isfinite(tensor).all().item<bool>())
      throw data::DataError(path + ": " + name + " is not finite; the network is unusable");
  }
}

/// The sets of the job, opened once.
class Evaluation {
 public:
  Evaluation(const Config& config, const NetworkList& list, Runtime& runtime)
      : config_(config),
        list_(list),
        runtime_(runtime),
        outputs_(config, list.is_folder),
        sets_(open_verification_sets(
            config, list.networks.size() > 1 ? KeepDecoded::kYes : KeepDecoded::kNo)),
        ijb_(open_ijb_sets(config, runtime)) {}

  [[nodiscard]] EvaluatedNetwork of_features() {
    EvaluatedNetwork done;
    for (const auto& set : sets_) {
      const eval::VerifiedSet verified = verify_features(set.set(), config_, runtime_);
      outputs_.write("", set.set(), verified, runtime_);
      done.reports.push_back(verified.report);
    }
    print(done.reports);
    for (const IjbSet& set : ijb_) {
      const auto file = open_features(config_, set.images(), set.folder(), runtime_);
      add(done, set,
          set.evaluate(features_of_file(file, two_views(config_)), config_, outputs_.of_ijb(""),
                       runtime_));
    }
    return done;
  }

  /// Throws UnusableNetwork on all ranks.
  [[nodiscard]] EvaluatedNetwork of_network(const NetworkFile& file) {
    EvaluatedNetwork done{file, std::nullopt, {}, {}, {}, ""};
    const LoadedNetwork network = load(file);
    if (list_.is_folder && fs::is_directory(file.path))
      done.epoch = read_checkpoint_info(file.path).epoch;
    const std::string what = list_.is_folder ? file.name : "eval";
    done.reports = verify(what, file, *network.backbone);
    print(done.reports);
    for (const IjbSet& set : ijb_)
      add(done, set,
          set.evaluate(*network.backbone, config_, outputs_.of_ijb(file.name), runtime_));
    return done;
  }

 private:
  /// A network of a folder is checked first, so that a corrupted one does not pass for a bad one.
  [[nodiscard]] LoadedNetwork load(const NetworkFile& file) {
    LoadedNetwork network;
    const auto read = [&] {
      if (list_.is_folder && runtime_.is_root()) check_network_digest(file.path);
      network = load_network(file.path, shape_of_weight_file(config_.model), runtime_.device());
      if (!network.remark.empty()) spdlog::info("eval: {}", network.remark);
      if (list_.is_folder) check_finite(*network.backbone, file.path);
    };
    if (list_.is_folder)
      dist::together<UnusableNetwork>(runtime_.control(), read);
    else
      read();
    return network;
  }

  [[nodiscard]] std::vector<eval::SetReport> verify(const std::string& what,
                                                    const NetworkFile& file,
                                                    model::Backbone& backbone) {
    try {
      return verify_sets(what, sets_, backbone, config_, runtime_,
                         [&](const data::VerificationSet& set, const eval::VerifiedSet& verified) {
                           outputs_.write(file.name, set, verified, runtime_);
                         });
    } catch (const c10::Error& error) {
      if (!list_.is_folder) throw;
      throw UnusableNetwork(error.what());  // embeddings that are not finite: the same on all ranks
    }
  }

  void print(const std::vector<eval::SetReport>& reports) const {
    if (runtime_.is_root()) std::fputs(verification_table(reports).c_str(), stdout);
  }

  static void add(EvaluatedNetwork& done, const IjbSet& set, eval::IjbResult result) {
    done.ijb.push_back(std::move(result));
    done.ijb_folders.push_back(set.folder());
  }

  const Config& config_;
  const NetworkList& list_;
  Runtime& runtime_;
  OutputFiles outputs_;
  std::vector<eval::ResidentSet> sets_;
  std::vector<IjbSet> ijb_;
};

/// One rank.
void write_results(const EvaluatedNetwork& done, const Config& config) {
  const nlohmann::json verification = reports_to_json(done.reports);
  nlohmann::json ijb = nlohmann::json::array();
  for (std::size_t i = 0; i < done.ijb.size(); ++i)
    ijb.push_back(ijb_to_json(done.ijb_folders[i], done.ijb[i]));
  if (!done.reports.empty()) {
    write_json(config.output + "/eval.json", verification);
    write_verification(config.output + "/eval_curves.json", {}, done.reports);  // for the report
  }
  if (!ijb.empty()) write_json(config.output + "/ijb.json", ijb);
  if (config.eval.json.empty()) return;
  const bool is_network = config.eval.features.empty();
  write_json(config.eval.json,
             {{"network", is_network ? config.model.checkpoint : config.eval.features},
              {"verification", verification},
              {"ijb", ijb}});
}

/// One rank.
void write_results(const std::vector<EvaluatedNetwork>& networks, const Config& config) {
  const nlohmann::json json = networks_json(networks);
  write_json(config.output + "/networks.json", json);
  data::write_file_atomically(config.output + "/networks.csv", networks_csv(networks));
  if (!config.eval.json.empty()) write_json(config.eval.json, json);
  std::fputs(("\n" + network_table(networks)).c_str(), stdout);
}

std::string first_line(const std::string& message) {
  return message.substr(0, message.find("\nException raised from "));
}

/// Evaluates all networks of a folder; names and skips those that are unusable.
void evaluate_all(const NetworkList& list, Evaluation& evaluation, const Config& config,
                  Runtime& runtime) {
  std::vector<EvaluatedNetwork> networks;
  std::string skipped;
  for (const NetworkFile& file : list.networks) {
    try {
      networks.push_back(evaluation.of_network(file));
    } catch (const UnusableNetwork& error) {
      networks.push_back({file, std::nullopt, {}, {}, {}, first_line(error.what())});
      skipped += (skipped.empty() ? "" : ", ") + file.name;
      if (runtime.is_root()) spdlog::error("{} is skipped: {}", file.path, networks.back().problem);
    }
  }
  dist::together<data::DataError>(runtime.control(), [&] {
    if (runtime.is_root()) write_results(networks, config);
  });
  if (!skipped.empty())
    throw Incomplete(config.model.checkpoint +
                     ": these networks were skipped as unusable: " + skipped +
                     "; the results of the others are in " + config.output + "/networks.csv");
}

}  // namespace

void check_eval(const Config& config) {
  const EvalConfig& e = config.eval;
  std::vector<std::string> problems;
  if (e.sets.empty() && e.ijb.empty())
    problems.push_back("eval.sets, eval.ijb: this command needs at least one .bin or IJB folder");
  if (e.features.empty() && config.model.checkpoint.empty())
    problems.push_back("model.checkpoint: this command needs it (or eval.features)");
  if (!e.features.empty() && e.sets.size() + e.ijb.size() > 1)
    problems.push_back("eval.features: the features belong to exactly one .bin or one IJB folder");
  for (const auto& problem : output_file_problems(config)) problems.push_back(problem);
  for (const auto& problem : ijb_variant_problems(config)) problems.push_back(problem);
  if (!problems.empty()) throw ConfigError(problems);
}

void eval_command(const Config& config, Runtime& runtime) {
  check_eval(config);
  const FolderLock lock = make_output_folder(config, runtime);
  const bool has_features = !config.eval.features.empty();
  const NetworkList list = has_features ? NetworkList() : list_networks(config.model.checkpoint);
  Evaluation evaluation(config, list, runtime);
  if (list.is_folder) return evaluate_all(list, evaluation, config, runtime);
  const EvaluatedNetwork done =
      has_features ? evaluation.of_features() : evaluation.of_network(list.networks.front());
  if (runtime.is_root()) write_results(done, config);
}

}  // namespace diffprob::launch
