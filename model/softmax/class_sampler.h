#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// Which classes of a shard take part in a step: those of the batch's labels, and of all others the
/// ones with the largest hash of (key, class id). A pure function of key, labels and shard: the
/// same after a resume, but another set of ranks samples other classes, since every shard takes its
/// own count.
struct SampledClasses {
  at::Tensor rows;  ///< [count] int64, ascending, rows of the shard
};

/// How many: rate * local_classes rounded up, but at least the classes of the labels, so that a
/// rate of 0 gives those alone: the same classes on any number of ranks. labels as below. Where
/// that share is smaller than a batch could need, the classes of the labels are counted, for which
/// the host waits for a GPU.
[[nodiscard]] std::int64_t sampled_count(double rate, const at::Tensor& labels,
                                         std::int64_t first_class, std::int64_t local_classes);

/// Whether the share is so small that a batch of so many rows could need more classes, so that
/// sampled_count counts those of its labels.
[[nodiscard]] bool counts_labels(double rate, std::int64_t rows, std::int64_t local_classes);

/// labels [B] int64, global ids, of any rank's classes, on the device wanted. count: as
/// sampled_count. key: [1] int64 there (model/softmax/keyed_hash.h). No host synchronisation.
[[nodiscard]] SampledClasses sample_classes(const at::Tensor& labels, std::int64_t first_class,
                                            std::int64_t local_classes, std::int64_t count,
                                            const at::Tensor& key);

}  // namespace diffprob::model
