#pragma once

#include "prune/files/hdf5_file.h"
#include "prune/tables/score_table.h"

namespace diffprob::prune {

/// The part that score files and dynamics files have in common: fingerprints, margin, scale,
/// num_classes and `config`.
void write_source(HdfWriter& file, const ScoreSource& source);
/// Throws PruneError on what is missing or of another type, and on a num_classes outside 1 to 2^31.
[[nodiscard]] ScoreSource read_source(const HdfReader& file, const std::string& path);
/// Throws PruneError, naming `where`, unless num_classes is 1 to 2^31 and there are fewer than 2^32
/// samples.
void check_extents(const std::string& where, std::int64_t num_samples, std::int64_t num_classes);

}  // namespace diffprob::prune
