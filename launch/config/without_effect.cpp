#include "launch/config/without_effect.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "launch/config/key_conditions.h"

namespace diffprob::launch {
namespace {

/// What a command reads.
struct Use {
  std::string_view command;
  Keys keys;
};

Keys with_common(Keys keys) {
  for (const std::string_view key : {"output", "seed", "device", "threads", "dist."})
    keys.emplace_back(key);
  return keys;
}

std::vector<Use> uses_of_training() {
  return {
      {"run", with_common({"data.", "augment.", "synthetic.", "model.", "train.", "score.",
                           "!score.embeddings", "prune.", "!prune.scores", "eval.sets", "eval.ijb",
                           "eval.ijb_variants", "eval.batch_per_rank", "eval.precision",
                           "eval.folds", "run."})},
      {"sweep", with_common({"data.",
                             "augment.",
                             "synthetic.",
                             "model.",
                             "!model.checkpoint",
                             "train.",
                             "score.",
                             "!score.embeddings",
                             "prune.",
                             "!prune.scores",
                             "!prune.method",
                             "!prune.clean",
                             "!prune.keep_ratio",
                             "!prune.threshold",
                             "eval.sets",
                             "eval.batch_per_rank",
                             "eval.precision",
                             "eval.folds",
                             "run.seeds",
                             "sweep."})},
      {"train", with_common({"data.", "augment.", "model.", "!model.checkpoint", "train.",
                             "eval.sets", "eval.batch_per_rank", "eval.precision", "eval.folds"})},
  };
}

std::vector<Use> uses_of_networks_and_scores() {
  return {
      {"score", with_common({"data.",
                             "!data.flip",
                             "!data.sampling",
                             "!data.sampling_power",
                             "!data.resident_gib",
                             "!data.cache_gib",
                             "model.checkpoint",
                             "model.head",
                             "model.backbone",
                             "model.embedding_dim",
                             "model.loss",
                             "model.channel_order",
                             "model.scale",
                             "model.m1",
                             "model.m2",
                             "model.m3",
                             "train.precision",
                             "train.max_time",
                             "score.",
                             "!score.folds"})},
      {"embed", with_common({"data.", "!data.flip", "!data.sampling", "!data.sampling_power",
                             "!data.resident_gib", "!data.cache_gib", "model.checkpoint",
                             "model.backbone", "model.embedding_dim", "model.channel_order",
                             "train.precision", "train.max_time", "score.batch_per_rank",
                             "score.fold", "score.precision", "score.part_samples", "embed."})},
      {"prune", with_common({"data.train", "data.root", "data.kept", "data.labels",
                             "score.embeddings", "prune."})},
      {"eval", with_common({"data.train", "data.image_size", "data.decode_threads",
                            "model.checkpoint", "model.backbone", "model.embedding_dim",
                            "model.channel_order", "train.precision", "eval."})},
      {"export",
       {"model.checkpoint", "model.head", "model.backbone", "model.embedding_dim",
        "model.channel_order"}},
  };
}

std::vector<Use> uses_of_data_commands() {
  return {
      {"data dedup",
       with_common({"data.train", "data.root", "data.kept", "data.labels", "data.stage_dir",
                    "data.decode_threads", "neighbours.", "!neighbours.other",
                    "!neighbours.other_embeddings", "!neighbours.shared"})},
      {"data leaks",
       with_common({"data.train", "data.root", "data.kept", "data.labels", "data.stage_dir",
                    "data.decode_threads", "eval.sets", "eval.ijb", "neighbours.",
                    "!neighbours.other", "!neighbours.near", "!neighbours.shared"})},
      {"data overlap",
       with_common({"data.train", "data.root", "data.kept", "data.labels", "data.stage_dir",
                    "data.decode_threads", "neighbours.embeddings", "neighbours.other",
                    "neighbours.other_embeddings", "neighbours.shared"})},
  };
}

const std::vector<Use>& uses() {
  static const std::vector<Use> all = [] {
    std::vector<Use> found = uses_of_training();
    for (const auto& part : {uses_of_networks_and_scores(), uses_of_data_commands()})
      found.insert(found.end(), part.begin(), part.end());
    return found;
  }();
  return all;
}

/// What to do about a key that looks as if a command read it.
std::string advice(const std::string& command, const std::string& key) {
  if (key == "model.checkpoint" && command != "prune")
    return "train.init starts from the backbone of a checkpoint, and a training that was stopped "
           "goes on by itself when the same command runs again";
  if (key == "prune.scores") return "its scores come from its own training";
  if (command == "sweep" && key.starts_with("prune."))
    return "sweep.methods and sweep.ratios name what is compared";
  std::vector<std::string_view> readers;
  for (const Use& use : uses())
    if (is_among(key, use.keys)) readers.push_back(use.command);
  return readers.empty() ? "" : fmt::format("it is read by {}", fmt::join(readers, ", "));
}

/// Keys of a network that was trained elsewhere have an effect only together.
std::string without_partner(const std::string& command, const std::string& key,
                            const Config& config) {
  static const Keys describes = {
      "model.backbone", "model.embedding_dim", "model.loss", "model.scale", "model.m1", "model.m2",
      "model.m3"};
  const bool centroids = config.score.head == ScoreHead::kCentroids;
  const bool has_head = !config.model.head_files.empty() || centroids;
  if (key == "model.head" && centroids && (command == "score" || command == "run"))
    return "score.head is centroids, which are made from embeddings";
  if (key.starts_with("model.") && command == "score" && !config.score.embeddings.empty() &&
      (key == "model.checkpoint" || key == "model.channel_order"))
    return "score.embeddings is given, which needs no network";
  if (key == "model.head" && (command == "sweep" || command == "prune" || command == "eval"))
    return command + " does not read it; it is read by run, train, score, export";
  if (command == "score" && !has_head && is_among(key, describes))
    return "score reads it with model.head or score.head=centroids only; a checkpoint folder names "
           "its network and loss";
  if (command == "train" && key == "model.head" && config.train.init.empty())
    return "train.init is not given, whose head it is";
  if (command == "run" && key == "model.head" && config.model.checkpoint.empty())
    return "model.checkpoint is not given, whose head it is (train.init of a run is the start of "
           "all its trainings, each with a new head)";
  if (command == "run" && key == "model.checkpoint" && !has_head)
    return "model.head (or score.head=centroids) is not given, which with it replaces the first "
           "training; " +
           advice(command, key);
  return {};
}

std::string of_another_command(const std::string& command, const std::string& key,
                               const Config& config) {
  if (const std::string why = without_partner(command, key, config); !why.empty()) return why;
  if (reads_key(command, key)) return {};
  const std::string instead = advice(command, key);
  return fmt::format("{} does not read it{}", command, instead.empty() ? "" : "; " + instead);
}

/// Milestones that no epoch reaches, given or not: the rate falls less often than planned.
std::string late_milestones(const Config& config) {
  const auto& schedule = config.train.schedule;
  std::vector<std::int64_t> late;
  for (const std::int64_t epoch : schedule.milestones)
    if (epoch >= config.train.epochs) late.push_back(epoch);
  if (schedule.kind != model::LrKind::kMilestones || late.empty()) return {};
  return fmt::format(
      "train.milestones: {} {} not reached within train.epochs={}, so the rate falls {} time{}; "
      "epochs count from 0",
      fmt::join(late, ", "), late.size() == 1 ? "is" : "are", config.train.epochs,
      schedule.milestones.size() - late.size(),
      schedule.milestones.size() - late.size() == 1 ? "" : "s");
}

}  // namespace

bool reads_key(const std::string& command, const std::string& key) {
  return std::any_of(uses().begin(), uses().end(), [&](const Use& use) {
    return use.command == command && is_among(key, use.keys);
  });
}

std::vector<std::string> without_effect(const std::string& command, const Config& config) {
  std::vector<std::string> lines;
  const auto conditions = conditions_of(command);
  for (const GivenKey& given : config.given) {
    std::string why = given.is_flag ? of_another_command(command, given.key, config) : "";
    for (const Condition& each : conditions)
      if (why.empty() && is_among(given.key, each.keys) && !each.holds(config))
        why = each.unless(config);
    if (!why.empty())
      lines.push_back(
          fmt::format("{}{} has no effect: {}", given.is_flag ? "--" : "", given.key, why));
  }
  if (command == "run" || command == "sweep" || command == "train") {
    const std::string late = late_milestones(config);
    if (!late.empty()) lines.push_back(late);
  }
  return lines;
}

}  // namespace diffprob::launch
