#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "prune/prune_options.h"

namespace diffprob::launch {

/// One method at one ratio.
struct SweepCell {
  prune::FullMethod method;
  double ratio = 0;    ///< of all samples
  std::string folder;  ///< of its stages, in the output

  [[nodiscard]] std::string name() const;  ///< of the method: "diffprob", "clean+diffprob", ...
};

/// Cells 1, 2, ... of a configuration: ratio by ratio, its methods in their order; random last
/// where it is not listed.
[[nodiscard]] std::vector<SweepCell> sweep_cells(const Config& config);
/// Options of a cell's pruning, or its draw, for training number `seed_index`: those of the section
/// prune but for method, cleaning and ratio. random is always drawn by seed, whatever prune.draw
/// and prune.preset say.
[[nodiscard]] prune::PruneOptions sweep_options(const Config& config, const SweepCell& cell,
                                                std::int64_t seed_index);

/// What can be wrong before days of training: throws ConfigError. Not collective.
void check_sweep(const Config& config);
/// Numbers of cells, index sets and trainings, for --dry-run.
[[nodiscard]] std::string sweep_plan(const Config& config);

/// Original trainings (run.seeds of them), scores by the first one, then every cell: index sets and
/// run.seeds trainings; then the table (comparison.h) as sweep.txt, sweep.json, sweep.csv. With
/// sweep.cell one part of it alone, without the table. Every stage is skipped when it was done
/// before from the same inputs. Collective.
void run_sweep(const Config& config, Runtime& runtime);

}  // namespace diffprob::launch
