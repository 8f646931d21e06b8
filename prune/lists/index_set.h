#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "prune/select/selection.h"

namespace diffprob::prune {

/// Which samples of a data set are kept, and how labels are renumbered when identities vanish.
struct IndexSet {
  std::string dataset_fingerprint;
  std::int64_t num_samples = 0;    ///< N of the set it was made from
  std::vector<std::int64_t> kept;  ///< increasing
  std::vector<std::int64_t>
      label_map;  ///< [old classes] -> new label, or -1; dense, increasing in the old label
  std::vector<Reason> reasons;  ///< [N], or empty when the set came from a plain list
  std::string method;           ///< "diffprob", "clean+diffprob", "random", ...
  double threshold = 0;         ///< 0 when the method has none
};

/// HDF5 (prune/tables/SCORES_FORMAT.md) for *.h5; anything else: text `kept_index = [0, 3, ...]`,
/// as the paper's code writes. Atomic.
void write_index_set(const std::string& path, const IndexSet& set);
void write_kept_index_text(const std::string& path, const IndexSet& set);
/// `{old: new, ...}` over the identities that keep at least one sample, as the paper's code writes.
void write_label_map_text(const std::string& path, const IndexSet& set);
/// Reads an index set or a list of any kind of prune/lists/list_kinds.h that its content shows:
/// what has no name of its own (bare numbers) is taken as kept, `dropped_index` is the rest of the
/// num_samples; masks do not say what True means, and names need the data set: both are refused
/// (ListNeedsMore). Text: numbers may be unsorted and span lines; an index
/// twice or >= num_samples (when > 0) is an error naming it.
[[nodiscard]] IndexSet read_index_set(const std::string& path, std::int64_t num_samples);

/// The HDF5 form alone, under any name.
void write_index_set_hdf5(const std::string& path, const IndexSet& set);
[[nodiscard]] IndexSet read_index_set_hdf5(const std::string& path, std::int64_t num_samples);

}  // namespace diffprob::prune
