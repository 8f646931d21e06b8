#pragma once

#include "model/margin/margin.h"

namespace diffprob::model {

/// Boutros et al., "ElasticFace", CVPR Workshops 2022: every sample of a batch has its own margin E
/// from N(m, std).
///   elastic_arcface        s cos(theta + E)
///   elastic_cosface        s (cos(theta) - E)
///   ..._plus               the E of a batch are dealt by how near a sample is to its class: k-th
///   smallest margin to the k-th largest cosine
/// over the global batch. LossPreset::kReference deals the Plus margins as the released code does:
/// sample j gets the order[j]-th smallest, order being the list of samples by falling cosine (the
/// permutation where its inverse is meant).
class ElasticMargin final : public Margin {
 public:
  ElasticMargin(const MarginOptions& options, at::Device device)
      : Margin(options), device_(device) {}

  /// Later steps take these margins [B], before they are dealt, instead of random ones.
  void set_margins(const at::Tensor& drawn);

  [[nodiscard]] bool needs_whole_batch() const override { return true; }

 private:
  TargetLogits do_target(const MarginBatch& batch) override;

  at::Device device_;
  at::Tensor given_;  ///< [B] float64, undefined: draw
};

/// Normal margins [rows] float64 on the CPU: row r is a function of (key, r).
[[nodiscard]] at::Tensor draw_margins(std::uint64_t key, std::int64_t rows, double mean,
                                      double deviation);

enum class DealRule { kPaper, kReference };
/// Margins [B] of samples with these cosines [B] from margins in any order [B]. Cosines equal in
/// float32 are taken by row.
[[nodiscard]] at::Tensor deal_margins(const at::Tensor& drawn, const at::Tensor& target_cosine,
                                      DealRule rule);

}  // namespace diffprob::model
