#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/synthetic/faces.h"

namespace diffprob::data {

enum class PlantedKind { kPlain, kHard, kNearDuplicate, kFlippedLabel };

/// One line of planted.csv: what sample number `index` (its place in the plan) is.
struct PlannedSample {
  std::int64_t label = 0;
  std::int64_t true_label = 0;
  PlantedKind kind = PlantedKind::kPlain;
  /// Index of the sample that a near-duplicate copies, always a plain one.
  std::int64_t source = -1;
};

/// All training samples, grouped by label. Every identity keeps at least one plain sample. Throws
/// DataError on impossible options.
[[nodiscard]] std::vector<PlannedSample> plan_training_set(const SyntheticFacesOptions& options);

/// A picture of the verification set: whose, and a number of its own.
struct VerificationPicture {
  std::int64_t identity;
  std::int64_t number;
};
/// Two entries a pair, genuine and impostor pairs in turn; the identities of a tenth of the pairs
/// (a fold) appear in no other fold when there are at least 20 of them.
[[nodiscard]] std::vector<VerificationPicture> plan_verification_set(
    const SyntheticFacesOptions& options);

[[nodiscard]] std::string planted_csv(const std::vector<PlannedSample>& plan);

}  // namespace diffprob::data
