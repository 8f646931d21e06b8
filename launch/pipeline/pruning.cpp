#include "launch/pipeline/pruning.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "launch/pipeline/share.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {

prune::PruneOptions prune_options(const Config& config) {
  const PruneConfig& p = config.prune;
  prune::PruneOptions options = p.options;
  options.random.seed = options.ccs.seed = options.balanced.seed =
      static_cast<std::uint64_t>(config.seed);
  options.diffprob.preset = options.ranked.preset = p.preset;
  if (p.preset == prune::Preset::kReference)
    options.random.draw = prune::RandomOptions::Draw::kTail;
  options.diffprob.floor = options.random.floor = options.ranked.floor = options.ccs.floor =
      options.balanced.floor = p.floor;
  if (options.method == prune::Method::kDiffProb && p.threshold > 0)
    options.diffprob.threshold = p.threshold;
  else if (prune::has_keep_ratio(options.method))
    options.keep_ratio = p.keep_ratio;
  return options;
}

prune::PruneWork prune_work() {
  const auto last =
      std::make_shared<std::chrono::steady_clock::time_point>(std::chrono::steady_clock::now());
  prune::PruneWork work;
  work.progress = [last](std::string_view step, std::int64_t done, std::int64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (now - *last < std::chrono::seconds(5)) return;
    *last = now;
    spdlog::info("prune: {}, {:.0f} %", step,
                 100.0 * static_cast<double>(done) / static_cast<double>(total));
  };
  return work;
}

namespace {

constexpr double kMuchCleaned = 0.2;  // share of mislabelled samples that no real set has
constexpr double kMissed = 0.01;      // of all samples: the ratio was not reached

/// Identities below so many samples count as small.
constexpr std::int64_t kSmall = 10;
constexpr double kUnfair = 0.05;  // by so much less of them is kept

std::string loss_of_small_identities(const prune::PruneResult& result) {
  const prune::FairnessGroup small = result.fairness.smaller_than(kSmall);
  const double all = result.fairness.all.share();
  if (small.identities == 0 || small.share() >= all - kUnfair) return "";
  return fmt::format(
      "small identities lose most: of {} with fewer than {} images, {:.1f} % of the images are "
      "kept, of all {:.1f} %. {}, and compare accuracy on the people who matter (summary.json, "
      "fairness)",
      small.identities, kSmall, 100 * small.share(), 100 * all,
      result.options.method == prune::Method::kDeep ||
              result.options.method == prune::Method::kDeepDiffProb
          ? fmt::format("prune.method={} leaves the smallest out: lower prune.depth",
                        prune::method_name(result.options.method))
          : std::string("Raise prune.min_kept or prune.min_kept_share"));
}

}  // namespace

std::vector<std::string> pruning_warnings(const prune::PruneResult& result) {
  std::vector<std::string> warnings;
  const double cleaned = share(result.mislabelled, result.num_samples);
  if (cleaned > kMuchCleaned)
    warnings.push_back(fmt::format(
        "cleaning drops {} of {} samples ({:.1f} %) as mislabelled. A network that has not learned "
        "the set calls most labels wrong: look at its accuracy, train it longer, or set "
        "--prune.clean=false",
        result.mislabelled, result.num_samples, 100 * cleaned));
  if (const std::string loss = loss_of_small_identities(result); !loss.empty())
    warnings.push_back(loss);
  const auto& wanted = result.options.keep_ratio;
  if (!wanted) return warnings;
  const double reached = share(result.kept, result.num_samples);
  if (reached > *wanted + kMissed && result.identities_at_floor > 0)
    warnings.push_back(fmt::format(
        "prune.keep_ratio asks for {:.1f} %, but {:.1f} % are kept: the floor holds {} of {} "
        "identities. Lower prune.min_kept or prune.min_kept_share for a smaller set",
        100 * *wanted, 100 * reached, result.identities_at_floor, result.identities_after));
  else if (std::abs(reached - *wanted) > kMissed)
    warnings.push_back(fmt::format(
        "prune.keep_ratio asks for {:.1f} %, but {:.1f} % are kept ({} of {} samples were left "
        "after cleaning)",
        100 * *wanted, 100 * reached, result.usable, result.num_samples));
  return warnings;
}

}  // namespace diffprob::launch
