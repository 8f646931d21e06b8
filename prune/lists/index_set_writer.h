#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "prune/files/hdf5_file.h"
#include "prune/lists/index_set.h"

namespace diffprob::prune {

inline constexpr const char* kIndexSetFormat = "diffprob-index-set";
inline constexpr std::int64_t kIndexSetVersion = 1;

/// Names of what an index set of a part has besides, in the numbers of the whole data set.
inline constexpr const char* kWholeFingerprint = "whole_fingerprint";
inline constexpr const char* kWholeSamples = "whole_num_samples";
inline constexpr const char* kWholeKept = "whole_kept";
inline constexpr const char* kWholeLabelMap = "whole_label_map";
void write_kept_of_whole(HdfWriter& file, const KeptOfWhole& whole);

/// Format, version and everything of a set that is an attribute.
void write_index_set_head(HdfWriter& file, const IndexSet& set);

/// Writes an index set whose reasons come piece by piece, so that nobody holds all of them. The
/// same bytes as write_index_set.
class IndexSetWriter {
 public:
  /// `head`: everything but kept and reasons. `kept`: how many samples will be kept.
  IndexSetWriter(const std::string& path, const IndexSet& head, std::int64_t kept);
  /// Reasons of the samples that follow those already appended.
  void append(std::span<const Reason> reasons);
  /// `whole`: the same in the numbers of the whole, for a set of a part. Throws PruneError unless
  /// num_samples reasons came, `kept` of them kept ones.
  void finish(const KeptOfWhole* whole = nullptr);

 private:
  HdfWriter file_;
  std::vector<std::int64_t> label_map_;
  HdfWriter::Column<std::int64_t> kept_;
  HdfWriter::Column<std::uint8_t> reasons_;
  std::vector<std::int64_t> kept_of_piece_;
  std::int64_t next_ = 0;
};

}  // namespace diffprob::prune
