#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/records/record_io.h"
#include "data/sets/dataset.h"

namespace diffprob::data {

struct PackedSet {
  std::int64_t images = 0;
  std::int64_t identities = 0;
};

struct PackOptions {
  RecordLayout layout = RecordLayout::kInsightFace;
  /// Order of an im2rec layout: shuffled by this seed, or that of the set. Not for the other
  /// layout.
  std::optional<std::uint64_t> shuffle_seed;
};

/// Writes train.rec, train.idx and property of `dataset` into `folder` (data/FORMATS.md), images
/// grouped by label, inside a label in the order of the set. Image bytes are copied as they are.
/// Every label below num_classes must have an image. With a shuffled order, source_index.txt
/// (below) appears as well. Throws DataError.
PackedSet pack_records(const Dataset& dataset, const std::string& folder,
                       const PackOptions& options = {});

/// The same of the samples `kept` of `dataset`, with label_map.txt (`{old: new, ...}`) and
/// source_index.txt (line k, from 0: the index in `dataset` of sample k of what is written) beside
/// them. `label_map[old]` = new, or -1 for identities without a sample: dense; empty: it is made,
/// new labels in the order of the old ones. All five files appear together. Throws DataError, also
/// on what Subset refuses.
PackedSet pack_subset(std::shared_ptr<const Dataset> dataset, const std::vector<std::int64_t>& kept,
                      std::vector<std::int64_t> label_map, const std::string& folder,
                      const PackOptions& options = {});

/// The same of a whole set whose labels have changed (data/sets/relabelled.h), with label_map.txt
/// and source_index.txt beside them. label_map[old] = new label, or -1. Throws DataError.
PackedSet pack_relabelled(const Dataset& dataset, const std::vector<std::int64_t>& label_map,
                          const std::string& folder, const PackOptions& options = {});

}  // namespace diffprob::data
