#include "launch/pipeline/cost.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "launch/observe/progress.h"
#include "launch/observe/two_digits.h"

namespace diffprob::launch {
namespace {

enum class Role { kOriginal, kScoring, kPruning, kKept, kComparison };

Role role_of(std::string_view name) {
  if (name.starts_with("train_original")) return Role::kOriginal;
  if (name.starts_with("score") || name.starts_with("train_fold")) return Role::kScoring;
  if (name == "prune") return Role::kPruning;
  if (name.starts_with("train_pruned")) return Role::kKept;
  return Role::kComparison;
}

const char* role_name(Role role) {
  switch (role) {
    case Role::kOriginal:
      return "original";
    case Role::kScoring:
      return "scoring";
    case Role::kPruning:
      return "pruning";
    case Role::kKept:
      return "kept";
    case Role::kComparison:
      return "comparison";
  }
  return "";
}

Cost& part_of(RunCost& cost, Role role) {
  switch (role) {
    case Role::kOriginal:
      return cost.original;
    case Role::kScoring:
      return cost.scoring;
    case Role::kPruning:
      return cost.pruning;
    case Role::kKept:
      return cost.kept;
    case Role::kComparison:
      break;
  }
  return cost.comparison;
}

std::optional<double> seconds_of(const nlohmann::json& result) {
  if (!result.is_object() || !result.contains("seconds")) return std::nullopt;
  const auto& seconds = result.at("seconds");
  if (!seconds.is_number() || !(seconds.get<double>() >= 0)) return std::nullopt;
  return seconds.get<double>();
}

/// A whole number of at least 0, or `otherwise`.
std::int64_t count_of(const nlohmann::json& result, const char* key, std::int64_t otherwise) {
  if (!result.is_object() || !result.contains(key)) return otherwise;
  const auto& count = result.at(key);
  const bool fits = count.is_number_integer() && count.get<std::int64_t>() >= 0;
  return fits ? count.get<std::int64_t>() : otherwise;
}

Cost cost_of(const FinishedStage& stage, const CostInputs& inputs) {
  Cost cost;
  cost.stages = 1;
  cost.seconds = seconds_of(stage.result);
  if (stage.name.starts_with("train")) {
    cost.trained = count_of(stage.result, "steps", 0) * inputs.batch_size;
    if (inputs.prunes_while_training && inputs.batch_size > 0) {
      const std::int64_t whole =
          inputs.epochs * (stage.images / inputs.batch_size) * inputs.batch_size;
      cost.skipped = std::max<std::int64_t>(0, whole - cost.trained);
    }
  } else if (stage.name.starts_with("score")) {
    // Earlier programs say only how many samples have scores: one pass.
    cost.scored = count_of(stage.result, "images", count_of(stage.result, "samples", 0));
  }
  return cost;
}

void add(Cost& sum, const Cost& one) {
  sum.stages += one.stages;
  sum.trained += one.trained;
  sum.scored += one.scored;
  sum.skipped += one.skipped;
  sum.seconds =
      sum.seconds && one.seconds ? std::optional(*sum.seconds + *one.seconds) : std::nullopt;
}

double mean(double sum, const Cost& cost) {
  return sum / static_cast<double>(cost.stages);
}

void compare_trainings(RunCost& cost) {
  const Cost &full = cost.original, &kept = cost.kept;
  if (full.stages == 0 || kept.stages == 0) return;
  cost.saved_images =
      mean(static_cast<double>(full.trained), full) - mean(static_cast<double>(kept.trained), kept);
  if (!full.seconds || !kept.seconds) return;
  const double one_training = mean(*full.seconds, full);
  cost.saved_seconds = one_training - mean(*kept.seconds, kept);
  if (!cost.scoring.seconds || !cost.pruning.seconds) return;
  const double extra = *cost.scoring.seconds + *cost.pruning.seconds;
  cost.never = !(*cost.saved_seconds > 0);
  if (cost.never) return;
  cost.pay_back.original_wanted = extra / *cost.saved_seconds;
  cost.pay_back.for_pruning_alone = (one_training + extra) / *cost.saved_seconds;
}

nlohmann::json or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

nlohmann::json to_json(const Cost& cost) {
  return {{"stages", cost.stages},
          {"images_trained", cost.trained},
          {"images_scored", cost.scored},
          {"images_left_out", cost.skipped},
          {"seconds", or_null(cost.seconds)}};
}

std::string time_text(const std::optional<double>& seconds) {
  return seconds ? format_duration(*seconds) : "an unknown time";
}

std::string share_text(double part, double whole) {
  return whole > 0 ? fmt::format(" ({:.1f} %)", 100 * part / whole) : "";
}

std::string first_line(const CostInputs& inputs, const RunCost& cost) {
  std::string text = "cost: ";
  if (cost.original.stages > 0)
    text += fmt::format("original training {} images in {}; ", cost.original.trained,
                        time_text(cost.original.seconds));
  else if (inputs.original_given)
    text += "original network given; ";
  if (cost.scoring.stages > 0) {
    text += fmt::format("scoring {} images", cost.scoring.scored);
    if (cost.scoring.trained > 0)
      text += fmt::format(" and training {} for it", cost.scoring.trained);
    text += fmt::format(" in {}; ", time_text(cost.scoring.seconds));
  }
  return text + "pruning in " + time_text(cost.pruning.seconds);
}

std::string kept_line(const RunCost& cost) {
  const Cost& kept = cost.kept;
  if (kept.stages == 0) return "  nothing was trained on the kept images\n";
  const std::string trainings =
      kept.stages == 1 ? "a training" : fmt::format("{} trainings, each", kept.stages);
  std::string text = fmt::format(
      "  {} on the kept images: {:.0f} images in {}", trainings,
      mean(static_cast<double>(kept.trained), kept),
      time_text(kept.seconds ? std::optional(mean(*kept.seconds, kept)) : std::nullopt));
  if (cost.saved_images)
    text += fmt::format("; {:.0f} images{} {} than on all", std::abs(*cost.saved_images),
                        share_text(std::abs(*cost.saved_images),
                                   mean(static_cast<double>(cost.original.trained), cost.original)),
                        *cost.saved_images >= 0 ? "fewer" : "more");
  if (cost.saved_seconds)
    text += fmt::format(", {} {}", format_duration(std::abs(*cost.saved_seconds)),
                        *cost.saved_seconds >= 0 ? "less" : "more");
  return text + "\n";
}

std::string pay_back_line(const CostInputs& inputs, const RunCost& cost) {
  if (cost.never)
    return "  the pruning never pays for itself: a training on the kept images is not cheaper\n";
  if (cost.pay_back.original_wanted && cost.pay_back.for_pruning_alone)
    return fmt::format(
        "  paid for after {} trainings on the kept images where the original training was "
        "wanted anyway, after {} where it was made for the pruning alone\n",
        two_digits(*cost.pay_back.original_wanted), two_digits(*cost.pay_back.for_pruning_alone));
  if (inputs.original_given && cost.kept.stages > 0)
    return "  after how many trainings this is paid for is unknown: the original network was not "
           "trained here\n";
  return "";
}

}  // namespace

RunCost run_cost(const CostInputs& inputs) {
  RunCost cost;
  for (const FinishedStage& stage : inputs.stages)
    add(part_of(cost, role_of(stage.name)), cost_of(stage, inputs));
  compare_trainings(cost);
  return cost;
}

nlohmann::json cost_json(const CostInputs& inputs, const RunCost& cost) {
  nlohmann::json stages = nlohmann::json::array();
  for (const FinishedStage& stage : inputs.stages) {
    nlohmann::json one = to_json(cost_of(stage, inputs));
    one.erase("stages");
    one["stage"] = stage.name;
    one["part"] = role_name(role_of(stage.name));
    stages.push_back(std::move(one));
  }
  nlohmann::json json = {
      {"original_given", inputs.original_given},
      {"original", to_json(cost.original)},
      {"scoring", to_json(cost.scoring)},
      {"pruning", to_json(cost.pruning)},
      {"kept", to_json(cost.kept)},
      {"comparison", to_json(cost.comparison)},
      {"stages", stages},
      {"saved_per_training",
       {{"images", or_null(cost.saved_images)}, {"seconds", or_null(cost.saved_seconds)}}},
      {"pays_after",
       {{"never", cost.never},
        {"original_wanted", or_null(cost.pay_back.original_wanted)},
        {"for_pruning_alone", or_null(cost.pay_back.for_pruning_alone)}}}};
  if (inputs.bytes)
    json["image_bytes"] = {{"all", inputs.bytes->all}, {"kept", inputs.bytes->kept}};
  return json;
}

std::string cost_text(const CostInputs& inputs, const RunCost& cost) {
  std::string text =
      first_line(inputs, cost) + "\n" + kept_line(cost) + pay_back_line(inputs, cost);
  if (cost.original.skipped + cost.kept.skipped > 0)
    text += fmt::format(
        "  train.prune left out {} images of the original training and {} of those on the kept "
        "images\n",
        cost.original.skipped, cost.kept.skipped);
  if (inputs.bytes) {
    const auto all = static_cast<double>(inputs.bytes->all);
    const auto kept = static_cast<double>(inputs.bytes->kept);
    text += fmt::format("  kept images take {:.1f} of {:.1f} MB{}\n", kept / 1e6, all / 1e6,
                        share_text(kept, all));
  }
  return text;
}

}  // namespace diffprob::launch
