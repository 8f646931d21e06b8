#pragma once

#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "eval/neighbours/pairs.h"
#include "launch/duplicates/by_embedding/identity_names.h"

namespace diffprob::launch {

/// One person in two data sets.
struct SharedIdentity {
  std::int64_t a = 0;
  std::int64_t b = 0;
  bool by_name = false;
  bool by_centre = false;
  float cosine = 0;  ///< of the centres, with by_centre
};

/// Pairs of identities with one name, and those of `centres`, sorted by a, then b; each once.
[[nodiscard]] std::vector<SharedIdentity> shared_identities(
    const IdentityNames& a, const IdentityNames& b, const std::vector<eval::IdentityPair>& centres);

/// Number of different identities of the first (or second) set among the pairs.
[[nodiscard]] std::int64_t different_first(const std::vector<SharedIdentity>& shared);
[[nodiscard]] std::int64_t different_second(const std::vector<SharedIdentity>& shared);

/// A data set with the names of its identities.
struct NamedSet {
  const data::Dataset& dataset;
  const IdentityNames& names;
};
/// overlap.csv: one line per pair with identity, name and number of images in both sets, by (name,
/// centre, both) and the cosine of the centres. Throws data::DataError that names the file.
void write_overlap(const std::string& path, const std::vector<SharedIdentity>& shared,
                   const NamedSet& a, const NamedSet& b);

}  // namespace diffprob::launch
