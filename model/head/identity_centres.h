#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"

namespace diffprob::model {

/// Class centres that no training has made: for each identity the mean direction of its samples'
/// embeddings, as prototypes of "Prototypical Networks" (Snell et al. 2017) but on the unit sphere.
/// A sample is compared with its own centre *without itself* (leave one out), so that a wrong
/// label does not vouch for itself.
///
/// Unit embeddings are added up as whole multiples of 2^-40: sums have the same bits in any order
/// and for any number of ranks, and taking a sample out again is exact. Ranks hold the classes
/// that they hold in ShardedHead: 8 bytes * C_r * D. Call finish() after the last add().
class IdentityCentres {
 public:
  /// The communicator must outlive it; sums live on its device.
  IdentityCentres(std::int64_t num_classes, std::int64_t dim, dist::Communicator& communicator);

  /// Collective. embeddings [b, D] (any float dtype, not normalised), labels [b] int64 in
  /// [0, C), counts: rows of every rank. Waits for no GPU.
  void add(const at::Tensor& embeddings, const at::Tensor& labels,
           const std::vector<std::int64_t>& counts);
  /// Collective. Throws c10::Error on all ranks if a value of an embedding was not finite or a
  /// label outside of [0, C).
  void finish();

  /// [C_r, D] float32: sums of this rank's classes, whose direction is that of the mean. 0 for an
  /// identity without samples.
  [[nodiscard]] at::Tensor centres() const;
  /// [C_r] bool: identities without samples; undefined when there are none.
  [[nodiscard]] const at::Tensor& absent() const noexcept { return absent_; }
  /// Identities of one sample, over all ranks.
  [[nodiscard]] std::int64_t singles() const noexcept { return singles_; }
  /// unit [n, D] float32: normalised embeddings that were added; labels [n] int64 -> [n] float32,
  /// cosine to the centre of the other samples of the identity. 1 for an identity of one sample,
  /// which has no others; 0 where the others cancel each other; -infinity for classes of other
  /// ranks. Not collective. On a CPU the bits of a row depend on that row alone.
  [[nodiscard]] at::Tensor leave_one_out(const at::Tensor& unit, const at::Tensor& labels) const;

  [[nodiscard]] std::int64_t num_classes() const noexcept { return num_classes_; }
  [[nodiscard]] std::int64_t dim() const noexcept { return sums_.size(1); }

 private:
  [[nodiscard]] std::int64_t local_classes() const { return sums_.size(0); }
  void leave_one_out_on_host(const at::Tensor& unit, const at::Tensor& own,
                             at::Tensor cosines) const;
  void leave_one_out_on_device(const at::Tensor& unit, const at::Tensor& own,
                               at::Tensor cosines) const;

  dist::Communicator& communicator_;
  std::int64_t num_classes_;
  std::int64_t first_class_;
  at::Tensor sums_;    // [C_r, D] int64, in 2^-40
  at::Tensor counts_;  // [C_r] int64
  at::Tensor absent_;
  at::Tensor spoilt_;  // scalar int64: rows that are not finite, or of no class
  std::int64_t singles_ = 0;
};

}  // namespace diffprob::model
