#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"

namespace diffprob::prune {

/// Counts of margins in steps of 1/64, over all ranks. A margin is log p of the best other class
/// minus log p of the label, natural logarithms without margin of the loss.
class MarginCounts {
 public:
  static constexpr int kPerNat = 64;
  static constexpr int kLargest = 512;  ///< margins beyond +- this count as this
  static constexpr std::int64_t kBins = std::int64_t{2} * kLargest * kPerNat;

  MarginCounts() : counts_(static_cast<std::size_t>(kBins), 0) {}
  /// The step that holds a margin: bin k is (edge(k), edge(k + 1)], so that "above edge(k)" is "in
  /// bin k or a later one". NaN counts as the lowest.
  [[nodiscard]] static std::int64_t bin_of(double margin);
  [[nodiscard]] static double edge(std::int64_t bin) {
    return static_cast<double>(bin) / kPerNat - kLargest;
  }

  void add(double margin) { ++counts_[static_cast<std::size_t>(bin_of(margin))]; }
  /// Sums over all ranks. Collective.
  void finish(dist::HostCollectives& collectives);
  /// [kBins]
  [[nodiscard]] std::span<const std::int64_t> counts() const noexcept { return counts_; }

 private:
  std::vector<std::int64_t> counts_;
};

/// What prune.clean_precision came to.
struct PrecisionChoice {
  double wanted = 0;          ///< precision that was asked for
  double wrong = 0;           ///< expected wrong labels of all samples, from the noise estimate
  double shift = 0;           ///< b of the formula below
  bool reached = false;       ///< false: no margin promises the precision, nothing is dropped
  double margin = 0;          ///< samples with more than this are dropped
  std::int64_t suspects = 0;  ///< that the rule finds with any margin
  std::int64_t dropped = 0;   ///< of them, above the margin
  double estimate = 0;        ///< expected share of wrong labels among the dropped
};

/// Chooses the margin above which the labels of suspects are expected to be wrong with at least
/// `wanted` precision, so that as many suspects as possible are dropped.
///
/// A network's p(other) / p(label) = exp(m) is the odds that the label is wrong up to how often
/// labels are wrong at all, which the network does not know. With prior odds exp(b) the probability
/// of a wrong label is 1 / (1 + exp(-(m + b))); b is the number for which these probabilities of
/// all samples add up to `wrong`, the noise estimate's number of wrong labels (a shift of the
/// prior as in Saerens et al. 2002, "Adjusting the outputs of a classifier to new a priori
/// probabilities"). b is at most 0: labels are not more often wrong than the network says. The
/// precision of the suspects above a margin is the mean of their probabilities. It falls with the
/// margin, so the smallest margin that has the precision is the choice. Resolution: a step of
/// MarginCounts. Pure.
[[nodiscard]] PrecisionChoice choose_margin(const MarginCounts& all, const MarginCounts& suspects,
                                            double wrong, double wanted);

/// The choice in one line.
[[nodiscard]] std::string explanation(const PrecisionChoice& choice);

}  // namespace diffprob::prune
