#pragma once

namespace diffprob::prune {

/// Pruning while training: in every epoch a part of the easy samples is left out at random, and the
/// loss of those that stay counts 1 / (1 - ratio) times: each sample counts once on average. The
/// last epochs have all samples. (InfoBatch; Qin et al., ICLR 2024, section 3.)
struct EpochPruningOptions {
  /// Which samples are easy: those whose loss, when they were last trained on, is below the mean
  /// over all samples (kInfoBatch, as in the paper) or over those of their identity (kIdentity,
  /// which leaves out nearly the same share of every identity).
  enum class Rule { kNone, kInfoBatch, kIdentity } rule = Rule::kNone;
  double ratio = 0.5;    ///< share of the easy samples that is left out, from 0 to below 1
  double until = 0.875;  ///< share of the epochs after which no sample is left out
};

}  // namespace diffprob::prune
