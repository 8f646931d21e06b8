#include "launch/pipeline/pruning.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>

#include "prune/methods/methods.h"

namespace diffprob::launch {

prune::PruneOptions prune_options(const Config& config) {
  const PruneConfig& p = config.prune;
  prune::PruneOptions options = p.options;
  options.random.seed = options.ccs.seed = static_cast<std::uint64_t>(config.seed);
  options.diffprob.preset = options.ranked.preset = p.preset;
  if (p.preset == prune::Preset::kReference)
    options.random.draw = prune::RandomOptions::Draw::kTail;
  options.diffprob.floor = options.random.floor = options.ranked.floor = options.ccs.floor =
      p.floor;
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

}  // namespace diffprob::launch
