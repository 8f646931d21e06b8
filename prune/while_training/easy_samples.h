#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/tables/dynamics.h"
#include "prune/while_training/options.h"

namespace diffprob::prune {

/// Returns true if samples may be left out in epoch `epoch` (from 0) of `epochs`. Never in the
/// first, before which no loss is known.
[[nodiscard]] bool prunes_epoch(const EpochPruningOptions& options, std::int64_t epoch,
                                std::int64_t epochs);

/// A bit per sample, on every rank.
class SampleBits {
 public:
  SampleBits() = default;
  explicit SampleBits(std::int64_t samples)
      : words_(static_cast<std::size_t>((samples + 63) / 64)) {}
  [[nodiscard]] bool test(std::int64_t sample) const {
    return (words_[static_cast<std::size_t>(sample) / 64] >> (sample % 64) & 1U) != 0;
  }
  /// Sets the bits of samples from `first` on to those of `bits`, the lowest first.
  void put(std::int64_t first, std::int64_t count, const std::uint64_t* bits);

 private:
  std::vector<std::uint64_t> words_;
};

/// Finds the easy samples. `own`: dynamics of this rank's samples (samples_of_rank); samples that
/// no epoch had are not easy. label_of: of any sample, 0 to num_classes - 1. Losses are added up as
/// whole multiples of 2^-20, so the result is the same for any number of ranks. Collective: each
/// rank sends a bit per sample of its own and, with kIdentity, 16 bytes per identity.
[[nodiscard]] SampleBits easy_samples(const DynamicsState& own, EpochPruningOptions::Rule rule,
                                      std::int64_t num_samples,
                                      const std::function<std::int64_t(std::int64_t)>& label_of,
                                      std::int64_t num_classes, dist::HostCollectives& collectives);

}  // namespace diffprob::prune
