#include "launch/score/given_model.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <set>
#include <vector>

#include "data/files/sha256.h"
#include "dist/mpi/agreement.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/score/head_labels.h"
#include "model/head_files/rank_order.h"
#include "prune/tables/embedding_file.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

/// The files, each once, in a fixed order.
std::vector<std::string> weight_files(const Config& config) {
  std::vector<std::string> files =
      model::in_rank_order(model::without_folders(config.model.head_files));
  if (!fs::is_directory(config.model.checkpoint)) files.push_back(config.model.checkpoint);
  std::vector<std::string> once;
  std::set<std::string> seen;
  for (const std::string& file : files)
    if (seen.insert(file).second) once.push_back(file);
  return once;
}

/// Digests of the files that this rank reads, by their place in the list.
std::vector<std::string> digests_of(const std::vector<std::string>& files, Runtime& runtime) {
  std::string own;
  dist::together<std::runtime_error>(runtime.control(), [&] {
    for (std::size_t i = 0; i < files.size(); ++i)
      if (static_cast<int>(i) % runtime.world_size() == runtime.rank())
        own += data::sha256_file(files[i]);
  });
  constexpr std::size_t kDigits = 64;
  const auto of_ranks = dist::gather_texts(runtime.control(), own);
  std::vector<std::string> digests;
  for (std::size_t i = 0; i < files.size(); ++i)
    digests.push_back(of_ranks[i % of_ranks.size()].substr(i / of_ranks.size() * kDigits, kDigits));
  return digests;
}

/// Keys of section model without which the files are weights of nothing.
std::string use_of_files(const Config& config) {
  return dump_sections(config, {"model.backbone", "model.embedding_dim", "model.channel_order",
                                "model.loss", "model.scale", "model.m1", "model.m2", "model.m3"});
}

/// The loss as a checkpoint's would be: its kind, scale and margins.
model::HeadOptions options_of(const Config& config, std::int64_t classes, std::int64_t dim) {
  model::HeadOptions options;
  options.num_classes = classes;
  options.embedding_dim = dim;
  const model::MarginOptions given = model::with_published_values(config.model.head.margin);
  options.margin = model::margin_defaults(given.kind);
  options.margin.scale = given.scale;
  options.margin.margin = given.margin;
  options.margin.m1 = given.m1;
  options.margin.m2 = given.m2;
  options.margin.m3 = given.m3;
  return options;
}

std::unique_ptr<model::ShardedHead> head_of(const Config& config, std::int64_t classes,
                                            std::int64_t dim, Runtime& runtime) {
  return std::make_unique<model::ShardedHead>(options_of(config, classes, dim), runtime.tensors());
}

}  // namespace

void check_given_model(const Config& config, std::int64_t classes) {
  const LoadedNetwork network =
      load_network(config.model.checkpoint, shape_of_weight_file(config.model), at::kCPU);
  if (makes_centres(config)) return;
  const model::HeadFiles head(config.model.head_files, network.shape.embedding_dim);
  if (classes > 0) check_head_classes(head, classes);
}

std::string network_fingerprint(const Config& config, Runtime& runtime) {
  if (fs::is_directory(config.model.checkpoint))
    return checkpoint_fingerprint(config.model.checkpoint);
  Config network = config;
  network.model.head_files.clear();
  runtime.control().set_phase(dist::Phase::kStartup);  // a file of gigabytes
  std::string text =
      dump_sections(config, {"model.backbone", "model.embedding_dim", "model.channel_order"});
  for (const std::string& digest : digests_of(weight_files(network), runtime))
    text += digest + "\n";
  runtime.control().set_phase(dist::Phase::kStep);
  return data::sha256_hex(text);
}

std::string given_model_fingerprint(const Config& config, Runtime& runtime) {
  if (makes_centres(config)) return network_fingerprint(config, runtime);

  runtime.control().set_phase(dist::Phase::kStartup);  // files of gigabytes
  std::string text = use_of_files(config);
  for (const std::string& digest : digests_of(weight_files(config), runtime)) text += digest + "\n";
  if (fs::is_directory(config.model.checkpoint))
    text += checkpoint_fingerprint(config.model.checkpoint);
  runtime.control().set_phase(dist::Phase::kStep);
  return data::sha256_hex(text);
}

LoadedNetwork load_given_network(const Config& config, const Runtime& runtime) {
  LoadedNetwork network =
      load_network(config.model.checkpoint, shape_of_weight_file(config.model), runtime.device());
  if (!network.remark.empty()) spdlog::info("{}", network.remark);
  return network;
}

LoadedModel load_given_model(const Config& config, std::int64_t classes,
                             const std::string& fingerprint, Runtime& runtime) {
  const LoadedNetwork network = load_given_network(config, runtime);
  if (makes_centres(config)) {
    spdlog::info("{} {}, class centres from its embeddings, scale {:g} (model.scale)",
                 network.shape.backbone, network.origin, config.model.head.margin.scale);
    return {network.backbone, head_of(config, classes, network.shape.embedding_dim, runtime),
            fingerprint};
  }
  const model::HeadFiles files(config.model.head_files, network.shape.embedding_dim);
  check_head_classes(files, classes);
  LoadedModel loaded;
  loaded.backbone = network.backbone;
  loaded.head = head_of(config, files.num_classes(), files.embedding_dim(), runtime);
  dist::together<std::runtime_error>(
      runtime.control(), [&] { files.read(loaded.head->first_class(), loaded.head->weight()); });
  loaded.fingerprint = fingerprint;
  const auto& margin = loaded.head->options().margin;
  spdlog::info("{} {} and {} class centres of {}; loss {} with scale {:g}, as model.* says",
               network.shape.backbone, network.origin, files.num_classes(), files.text(),
               model::margin_name(margin.kind), margin.scale);
  return loaded;
}

LoadedModel load_embedded(const Config& config, std::int64_t classes, Runtime& runtime) {
  const prune::EmbeddingReader file(config.score.embeddings);
  spdlog::info("embeddings of {} (network {}), class centres from them, scale {:g} (model.scale)",
               config.score.embeddings, file.source().model_fingerprint.substr(0, 12),
               config.model.head.margin.scale);
  return {
      nullptr, head_of(config, classes, file.source().dim, runtime),
      data::sha256_hex(file.source().model_fingerprint + dump_sections(config, {"model.scale"}) +
                       (file.is_half() ? "float16" : "float32") +
                       (file.source().mirrored ? " mirrored" : ""))};
}

LoadedModel load_scored_model(const Config& config, std::int64_t classes, Runtime& runtime) {
  if (makes_centres(config) && !config.score.embeddings.empty())
    return load_embedded(config, classes, runtime);
  if (!is_given_model(config)) return load_model(config.model.checkpoint, runtime);
  return load_given_model(config, classes, given_model_fingerprint(config, runtime), runtime);
}

std::string given_model_text(const Config& config) {
  if (makes_centres(config))
    return config.model.checkpoint + " with class centres from its embeddings";
  std::string heads;
  for (const std::string& file : config.model.head_files)
    heads += (heads.empty() ? "" : ", ") + file;
  return config.model.checkpoint + " with the class centres of " + heads;
}

}  // namespace diffprob::launch
