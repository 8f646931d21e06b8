#include "prune/cleaning/rules.h"

#include <cmath>
#include <limits>
#include <string>

#include "prune/error.h"

namespace diffprob::prune {
namespace {

constexpr double kResolution = 0x1p40;

struct NamedRule {
  CleanRule rule;
  const char* name;
};
constexpr NamedRule kRules[] = {
    {CleanRule::kMispredicted, "mispredicted"},
    {CleanRule::kConfident, "confident"},
    {CleanRule::kPredictedNeqGiven, "predicted_neq_given"},
    {CleanRule::kConfidentLearning, "confident_learning"},
    {CleanRule::kLowSelfConfidence, "low_self_confidence"},
    {CleanRule::kLowNormalizedMargin, "low_normalized_margin"},
    {CleanRule::kPruneByClass, "prune_by_class"},
    {CleanRule::kPruneByNoiseRateTop1, "prune_by_noise_rate_top1"},
    {CleanRule::kBothTop1, "both_top1"},
};

void check_sizes(const CleaningColumns& columns, const CleanOptions& options, std::size_t reasons) {
  const std::size_t samples = columns.labels.size();
  const bool with_probs =
      columns.top1_log_prob.size() == samples && columns.own_log_prob.size() == samples;
  if (columns.top1.size() == samples && reasons == samples &&
      (with_probs || !reads_log_probs(options)))
    return;
  throw PruneError("cleaning: " + std::to_string(columns.top1.size()) + " predictions, " +
                   std::to_string(samples) + " labels and " + std::to_string(reasons) +
                   " reasons, expected the same number of both");
}

}  // namespace

std::vector<std::string> clean_rule_names() {
  std::vector<std::string> names;
  for (const NamedRule& each : kRules) names.emplace_back(each.name);
  return names;
}

std::string clean_rule_name(CleanRule rule) {
  for (const NamedRule& each : kRules)
    if (each.rule == rule) return each.name;
  throw PruneError("cleaning: a rule has no name");
}

CleanRule clean_rule_of(std::string_view name) {
  std::string known;
  for (const NamedRule& each : kRules) {
    if (name == each.name) return each.rule;
    known += (known.empty() ? "" : ", ") + std::string(each.name);
  }
  throw PruneError("unknown cleaning rule '" + std::string(name) + "', expected one of " + known);
}

bool is_of_cleanlab(CleanRule rule) {
  return rule != CleanRule::kMispredicted && rule != CleanRule::kConfident;
}

bool reads_log_probs(const CleanOptions& options) {
  return options.rule != CleanRule::kMispredicted || options.margin > 0 || options.precision > 0;
}

void check(const CleanOptions& options) {
  if (!(options.margin >= 0 && std::isfinite(options.margin)))
    throw PruneError("prune: clean_margin is " + std::to_string(options.margin) +
                     ", expected a finite number, 0 or more");
  if (!(options.precision >= 0 && options.precision <= 1))
    throw PruneError("prune: clean_precision is " + std::to_string(options.precision) +
                     ", expected 0 (off) or a share up to 1");
  if (options.precision > 0 && options.margin > 0)
    throw PruneError(
        "prune: clean_precision chooses the margin that clean_margin gives; expected only one of "
        "them above 0, leave one out");
  if (options.floor < 0)
    throw PruneError("prune: clean_floor is " + std::to_string(options.floor) +
                     ", expected 0 or more samples");
}

void ClassThresholds::add(std::span<const std::int32_t> labels,
                          std::span<const float> own_log_prob) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<std::size_t>(labels[i]);
    sums_[label] += std::llround(std::exp(static_cast<double>(own_log_prob[i])) * kResolution);
    ++counts_[label];
  }
}

void ClassThresholds::finish(dist::HostCollectives& collectives) {
  collectives.all_reduce(std::span<std::int64_t>(sums_), dist::ReduceOp::kSum);
  collectives.all_reduce(std::span<std::int64_t>(counts_), dist::ReduceOp::kSum);
}

double ClassThresholds::of(std::int32_t label) const {
  const auto c = static_cast<std::size_t>(label);
  if (counts_[c] == 0) return std::numeric_limits<double>::infinity();
  return static_cast<double>(sums_[c]) / static_cast<double>(counts_[c]) / kResolution;
}

void clean(const CleaningColumns& columns, const CleanOptions& options,
           const ClassThresholds& thresholds, std::span<Reason> reasons) {
  check_sizes(columns, options, reasons.size());
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (!is_kept(reasons[i]) || columns.top1[i] == columns.labels[i]) continue;
    if (options.margin > 0) {
      const double excess = static_cast<double>(columns.top1_log_prob[i]) -
                            static_cast<double>(columns.own_log_prob[i]);
      if (!(excess > options.margin)) continue;
    }
    if (options.rule == CleanRule::kConfident &&
        !(std::exp(static_cast<double>(columns.top1_log_prob[i])) >=
          thresholds.of(columns.top1[i]))) {
      continue;
    }
    reasons[i] = Reason::kMislabelled;
  }
}

}  // namespace diffprob::prune
