#include "launch/evaluate/eval_command.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/sets/set_names.h"
#include "dist/mpi/agreement.h"
#include "eval/ijb/loose_crops.h"
#include "eval/ijb/meta.h"
#include "launch/checkpoint/network.h"
#include "launch/evaluate/feature_file.h"
#include "launch/evaluate/results.h"
#include "launch/evaluate/verify.h"
#include "launch/inputs/open_data.h"
#include "launch/job/output_folder.h"
#include "launch/observe/json_file.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

int decode_threads(const Config& config) {
  return std::max(1, config.data.loader.decode_threads);
}

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

eval::SetReport report_of_features(const data::VerificationSet& set, const Config& config,
                                   Runtime& runtime) {
  const auto images = static_cast<std::int64_t>(set.images.size());
  const auto file = open_features(config, images, set.name, runtime);
  at::Tensor rows = at::empty({images, file->columns()}, at::kFloat);
  dist::together<data::DataError>(runtime.control(), [&] {
    for (std::int64_t i = 0; i < images; ++i)
      file->read_row(i, {rows.mutable_data_ptr<float>() + i * file->columns(),
                         static_cast<std::size_t>(file->columns())});
  });
  if (two_views(config)) rows = rows.view({images, 2, -1}).sum(1);
  return eval::report_pairs(set.name, eval::pair_distances(rows), set.same,
                            config.eval.embedder.folds);
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

std::vector<eval::PoolingVariant> variants_of(const Config& config, std::int64_t views) {
  if (config.eval.ijb_variants.empty()) return {{views == 2, true, true}};
  std::vector<eval::PoolingVariant> variants;
  for (const auto& name : config.eval.ijb_variants) {
    variants.push_back(eval::parse_pooling_variant(name));
    if (views == 1 && variants.back().flip)
      throw ConfigError({"eval.ijb_variants: " + name +
                         " adds the mirror image, but eval.features_hold is image; expected F0..., "
                         "or image_mirror"});
  }
  return variants;
}

void list_missing(const std::string& folder, const eval::IjbProtocol& protocol,
                  const eval::IjbResult& result, const std::vector<std::string>& problems,
                  const Config& config) {
  if (result.missing_images.empty()) return;
  std::string text;
  for (const auto row : result.missing_images)
    text += std::string(protocol.images.name(row)) + "\n";
  std::string name = result.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/'; }, '_');
  const std::string path = config.output + "/missing_" + name + ".txt";
  data::write_file_atomically(path, text);
  spdlog::warn(
      "{}: {} of {} images are missing or unreadable and skipped in their templates, listed in {}; "
      "the first: {}",
      folder, result.missing_images.size(), result.images, path,
      problems.empty() ? "met by another rank" : problems.front());
}

/// Names of IJB folders that are used together.
std::vector<std::string> ijb_names(const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) names.push_back(eval::find_ijb_files(folder).name);
  return data::distinct_names(folders, std::move(names));
}

nlohmann::json run_ijb(const std::string& folder, const std::string& name,
                       model::Backbone* backbone, const Config& config, Runtime& runtime) {
  auto protocol = eval::read_ijb_protocol(folder, runtime.control());
  protocol.files.name = name;
  spdlog::info("{}: {}, {} images, {} templates{}", folder, protocol.files.name,
               protocol.images.size(), protocol.templates.templates(),
               protocol.probes ? ", with 1:N lists" : "");
  eval::LooseCrops crops(protocol, decode_threads(config));
  const eval::ImageFeatures features =
      backbone != nullptr
          ? eval::network_features(crops, *backbone, runtime.device(), config.eval.embedder.network)
          : features_of_file(open_features(config, protocol.images.size(), folder, runtime),
                             two_views(config));
  Progress progress(protocol.files.name, protocol.images.size() / runtime.world_size(),
                    "images per rank", runtime.is_root() && ::isatty(2) != 0);
  eval::IjbOptions options;
  options.variants = variants_of(config, features.views);
  options.batch = config.eval.embedder.batch_per_rank;
  options.progress = [&](std::int64_t done, std::int64_t) {
    if (runtime.is_root()) progress.advance(done);
  };
  const double start = steady_seconds();
  const eval::IjbResult result = eval::evaluate_ijb(protocol, features, options, runtime.control());
  if (runtime.is_root()) {
    progress.step_aside();
    spdlog::info("{}: done in {}", protocol.files.name, format_duration(steady_seconds() - start));
    list_missing(folder, protocol, result, crops.problems(), config);
    std::fputs(ijb_table(result).c_str(), stdout);
  }
  return ijb_to_json(folder, result);
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
  const fs::path folder = fs::path(e.json).parent_path();
  if (!folder.empty() && !fs::is_directory(folder))
    problems.push_back("eval.json: the folder " + folder.string() + " does not exist");
  for (const auto& name : e.ijb_variants) {
    try {
      (void)eval::parse_pooling_variant(name);
    } catch (const std::exception&) {
      problems.push_back("eval.ijb_variants: expected F0N0D0 to F1N1D1, got \"" + name + "\"");
    }
  }
  if (!problems.empty()) throw ConfigError(problems);
}

void eval_command(const Config& config, Runtime& runtime) {
  check_eval(config);
  const FolderLock lock = make_output_folder(config, runtime);
  auto sets = open_verification_sets(config, KeepDecoded::kNo);
  std::shared_ptr<model::Backbone> backbone;
  if (config.eval.features.empty()) {
    const LoadedNetwork loaded =
        load_network(config.model.checkpoint, shape_of_weight_file(config.model), runtime.device());
    if (!loaded.remark.empty()) spdlog::info("eval: {}", loaded.remark);
    backbone = loaded.backbone;
  }

  std::vector<eval::SetReport> reports;
  if (backbone)
    reports = verify_sets("eval", sets, *backbone, config, runtime);
  else if (!sets.empty())
    reports.push_back(report_of_features(sets.front().set(), config, runtime));
  if (runtime.is_root()) std::fputs(verification_table(reports).c_str(), stdout);

  nlohmann::json ijb = nlohmann::json::array();
  const std::vector<std::string> names = ijb_names(config.eval.ijb);
  for (std::size_t i = 0; i < names.size(); ++i)
    ijb.push_back(run_ijb(config.eval.ijb[i], names[i], backbone.get(), config, runtime));
  if (!runtime.is_root()) return;
  if (!reports.empty()) write_json(config.output + "/eval.json", reports_to_json(reports));
  if (!ijb.empty()) write_json(config.output + "/ijb.json", ijb);
  if (!config.eval.json.empty()) {
    const std::string network = backbone ? config.model.checkpoint : config.eval.features;
    write_json(config.eval.json,
               {{"network", network}, {"verification", reports_to_json(reports)}, {"ijb", ijb}});
  }
}

}  // namespace diffprob::launch
