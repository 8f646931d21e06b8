#include "launch/evaluate/ijb_set.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/sets/set_names.h"
#include "dist/mpi/agreement.h"
#include "eval/ijb/loose_crops.h"
#include "launch/evaluate/pair_files.h"
#include "launch/evaluate/results.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace {

int decode_threads(const Config& config) {
  return std::max(1, config.data.loader.decode_threads);
}

/// Writes the ROC curves of a result. One rank.
void write_curves(const eval::IjbResult& result, const IjbOutputs& outputs) {
  for (const auto& variant : result.variants) {
    const std::string file = outputs.roc ? outputs.roc(result.name, variant.variant.name()) : "";
    if (!file.empty()) write_roc(file, variant.curve);
  }
}

}  // namespace

IjbSet::IjbSet(std::string folder, const std::string& name, Runtime& runtime)
    : folder_(std::move(folder)), protocol_(eval::read_ijb_protocol(folder_, runtime.control())) {
  protocol_.files.name = name;
  spdlog::info("{}: {}, {} images, {} templates{}", folder_, name, protocol_.images.size(),
               protocol_.templates.templates(), protocol_.probes ? ", with 1:N lists" : "");
}

eval::IjbResult IjbSet::evaluate(model::Backbone& backbone, const Config& config,
                                 const IjbOutputs& outputs, Runtime& runtime) const {
  eval::LooseCrops crops(protocol_, decode_threads(config));
  const eval::ImageFeatures features =
      eval::network_features(crops, backbone, runtime.device(), config.eval.embedder.network);
  eval::IjbResult result = evaluate(features, config, outputs, runtime);
  dist::together<data::DataError>(runtime.control(), [&] {
    if (runtime.is_root()) list_missing(result, crops.problems(), outputs.folder);
  });
  return result;
}

eval::IjbResult IjbSet::evaluate(const eval::ImageFeatures& features, const Config& config,
                                 const IjbOutputs& outputs, Runtime& runtime) const {
  Progress progress(name(), images() / runtime.world_size(), "images per rank",
                    runtime.is_root() && ::isatty(2) != 0);
  eval::IjbOptions options;
  options.variants = ijb_variants(config, features.views);
  options.batch = config.eval.embedder.batch_per_rank;
  options.progress = [&](std::int64_t done, std::int64_t) {
    if (runtime.is_root()) progress.advance(done);
  };
  options.take_scores = [&](const eval::PoolingVariant& variant, std::span<const double> scores) {
    const std::string file = outputs.scores ? outputs.scores(name(), variant.name()) : "";
    if (!file.empty()) write_template_scores(file, protocol_, scores, runtime.control());
  };
  const double start = steady_seconds();
  const eval::IjbResult result =
      eval::evaluate_ijb(protocol_, features, options, runtime.control());
  dist::together<data::DataError>(runtime.control(), [&] {
    if (!runtime.is_root()) return;
    progress.step_aside();
    spdlog::info("{}: done in {}", name(), format_duration(steady_seconds() - start));
    write_curves(result, outputs);
    std::fputs(ijb_table(result).c_str(), stdout);
  });
  return result;
}

void IjbSet::list_missing(const eval::IjbResult& result, const std::vector<std::string>& problems,
                          const std::string& folder) const {
  if (result.missing_images.empty()) return;
  std::string text;
  for (const auto row : result.missing_images)
    text += std::string(protocol_.images.name(row)) + "\n";
  std::string file = name();
  std::ranges::replace(file, '/', '_');
  const std::string path = folder + "/missing_" + file + ".txt";
  data::write_file_atomically(path, text);
  spdlog::warn(
      "{}: {} of {} images are missing or unreadable and skipped in their templates, listed in {}; "
      "the first: {}",
      folder_, result.missing_images.size(), result.images, path,
      problems.empty() ? "met by another rank" : problems.front());
}

std::vector<std::string> ijb_names(const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) names.push_back(eval::find_ijb_files(folder).name);
  return data::distinct_names(folders, std::move(names));
}

std::vector<IjbSet> open_ijb_sets(const Config& config, Runtime& runtime) {
  std::vector<IjbSet> sets;
  const std::vector<std::string> names = ijb_names(config.eval.ijb);
  for (std::size_t i = 0; i < names.size(); ++i)
    sets.emplace_back(config.eval.ijb[i], names[i], runtime);
  return sets;
}

std::vector<eval::PoolingVariant> ijb_variants(const Config& config, std::int64_t views) {
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

std::vector<std::string> ijb_variant_problems(const Config& config) {
  std::vector<std::string> problems;
  for (const auto& name : config.eval.ijb_variants) {
    try {
      (void)eval::parse_pooling_variant(name);
    } catch (const std::exception&) {
      problems.push_back("eval.ijb_variants: expected F0N0D0 to F1N1D1, got \"" + name + "\"");
    }
  }
  return problems;
}

}  // namespace diffprob::launch
