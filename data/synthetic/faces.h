#pragma once

#include <cstdint>
#include <string>

namespace diffprob::data {

// Tuned so that a tiny network is well above an untrained one, and short of perfect, on people it
// never saw.
inline constexpr double kIdentitySpread = 1.0;
inline constexpr double kNuisance = 1.25;

/// The embedded data set: procedural 112 x 112 RGB faces, a pure function of the seed. An identity
/// is a vector of facial geometry, skin, hair and texture; a sample adds pose, expression, light,
/// blur, occlusion and crop jitter. Near-duplicates, flipped labels and hard samples are planted in
/// known proportions and listed in planted.csv, so that cleaning and pruning can be judged.
struct SyntheticFacesOptions {
  std::int64_t identities = 100;
  std::int64_t images_per_identity = 24;  ///< mean; counts vary by a third around it
  /// Share of samples that are near-copies of another sample of the identity.
  double near_duplicates = 0.30;
  double flipped_labels = 0.02;            ///< share of samples filed under a wrong identity
  double hard_samples = 0.05;              ///< share with strong pose, occlusion, blur or darkness
  std::int64_t verification_pairs = 1000;  ///< of other identities, half genuine
  std::int64_t verification_identities = 100;
  std::uint64_t seed = 1;
  int threads = 2;
  double identity_spread = kIdentitySpread;  ///< how much people differ: 0 not at all
  double nuisance = kNuisance;  ///< how much pictures of one person differ: 0 not at all
};

/// Kinds in planted.csv: plain, hard, near_duplicate (source: index of the sample it copies) and
/// flipped_label (true_label: whose face it is). index counts from 0 in the order of the set;
/// source is -1 where there is none. Writes train.rec, train.idx, property, planted.csv
/// (index,label,true_label,kind,source) and synthetic_verification.bin into `folder`, whole or not
/// at all. Images are the same for any number of threads. Throws DataError on impossible options
/// and failed writes.
void write_synthetic_faces(const std::string& folder, const SyntheticFacesOptions& options);

}  // namespace diffprob::data
