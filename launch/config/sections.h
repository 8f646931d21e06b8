#pragma once

#include <vector>

#include "launch/config/fields.h"

namespace diffprob::launch {

/// Keys of one section each, in the order in which they are shown. Targets point into `config`.
[[nodiscard]] std::vector<Field> data_fields(DataConfig& config);
[[nodiscard]] std::vector<Field> augment_fields(AugmentConfig& config);
[[nodiscard]] std::vector<Field> synthetic_fields(data::SyntheticFacesOptions& config);
[[nodiscard]] std::vector<Field> model_fields(ModelConfig& config);
[[nodiscard]] std::vector<Field> train_fields(TrainConfig& config);
[[nodiscard]] std::vector<Field> score_fields(ScoreConfig& config);
[[nodiscard]] std::vector<Field> embed_fields(EmbedConfig& config);
[[nodiscard]] std::vector<Field> neighbours_fields(NeighboursConfig& config);
[[nodiscard]] std::vector<Field> prune_fields(PruneConfig& config);
[[nodiscard]] std::vector<Field> eval_fields(EvalConfig& config);
[[nodiscard]] std::vector<Field> run_fields(RunConfig& config);
[[nodiscard]] std::vector<Field> sweep_fields(SweepConfig& config);
[[nodiscard]] std::vector<Field> dist_fields(DistConfig& config);

}  // namespace diffprob::launch
