#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "prune/select/selection.h"

namespace diffprob::prune {

/// How the samples of a part count in the whole data set that it was taken from (data.kept).
struct WholeNumbers {
  std::string fingerprint;              ///< of the whole set
  std::int64_t num_samples = 0;         ///< of the whole set
  std::vector<std::int64_t> indices;    ///< [N of the part], increasing
  std::vector<std::int64_t> label_map;  ///< [classes of the whole] -> label in the part, or -1
};

/// The kept samples and the label map of an index set in the numbers of the whole.
struct KeptOfWhole {
  std::string fingerprint;
  std::int64_t num_samples = 0;
  std::vector<std::int64_t> kept;       ///< increasing
  std::vector<std::int64_t> label_map;  ///< [classes of the whole] -> new label, or -1
};

/// Which samples of a data set are kept, and how labels are renumbered when identities vanish.
struct IndexSet {
  std::string dataset_fingerprint;
  std::int64_t num_samples = 0;    ///< N of the set it was made from
  std::vector<std::int64_t> kept;  ///< increasing
  std::vector<std::int64_t>
      label_map;  ///< [old classes] -> new label, or -1; dense, increasing in the old label
  std::vector<Reason> reasons;         ///< [N], or empty when the set came from a plain list
  std::string method;                  ///< "diffprob", "clean+diffprob", "random", ...
  double threshold = 0;                ///< 0 when the method has none
  std::optional<KeptOfWhole> whole{};  ///< of a set that was itself a part of another
};

/// The label map of a part, applied after that of the part in the whole.
[[nodiscard]] std::vector<std::int64_t> label_map_of_whole(
    const WholeNumbers& whole, const std::vector<std::int64_t>& label_map);
/// The same index set in the numbers of the whole, without reasons. Throws PruneError when it is
/// not one of a part.
[[nodiscard]] IndexSet in_whole_numbers(const IndexSet& set);

/// HDF5 (prune/tables/SCORES_FORMAT.md) for *.h5; anything else: text `kept_index = [0, 3, ...]`,
/// as the paper's code writes. Atomic.
void write_index_set(const std::string& path, const IndexSet& set);
void write_kept_index_text(const std::string& path, const IndexSet& set);
/// `{old: new, ...}` over the identities that keep at least one sample, as the paper's code writes.
void write_label_map_text(const std::string& path, const IndexSet& set);
/// Reads an index set or a list of any kind of prune/lists/list_kinds.h that its content shows:
/// what has no name of its own (bare numbers) is taken as kept, `dropped_index` is the rest of the
/// num_samples; masks do not say what True means, and names need the data set: both are refused
/// (ListNeedsMore). An index set of a part comes in the numbers of the part when that has
/// num_samples samples, else in those of the whole. Text: numbers may be unsorted and span lines;
/// an index twice or >= num_samples (when > 0) is an error naming it.
[[nodiscard]] IndexSet read_index_set(const std::string& path, std::int64_t num_samples);

/// The HDF5 form alone, under any name.
void write_index_set_hdf5(const std::string& path, const IndexSet& set);
[[nodiscard]] IndexSet read_index_set_hdf5(const std::string& path, std::int64_t num_samples);

}  // namespace diffprob::prune
