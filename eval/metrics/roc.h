#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace diffprob::eval {

/// TAR at a target FAR, by the three rules in use. One row of the field's tables.
struct TarAtFar {
  double far_target = 0;
  double tar = 0;  ///< highest TAR with FAR <= target: what a threshold can really give
  double tar_interpolated = 0;  ///< on the straight line between the ROC points around the target;
                                ///< differs from `tar` at equal scores only
  double tar_nearest = 0;       ///< of the ROC point nearest to the target, also above it: the
                                ///< reference's table (see Roc::at_fars)
  double far_nearest = 0;       ///< FAR of that point
  double threshold = 0;         ///< scores above it are accepted for `tar`; minus infinity: all are
  bool meaningful = false;  ///< target * impostors >= 1: below that not even one impostor may pass,
                            ///< whatever the model
};

/// A point of a ROC curve: what is accepted with a threshold.
struct RocPoint {
  double far = 0;        ///< share of the impostors
  double tar = 0;        ///< share of the genuine pairs
  double threshold = 0;  ///< scores of at least this are accepted; infinity: none is
};

/// ROC of scores, higher means more alike, all points (one a distinct score). Memory: 8 bytes a
/// score. Area under the curve; equal error rate (linear interpolation at fpr = 1 - tpr). NaN when
/// one of the kinds is missing. The order of the scores does not matter.
class Roc {
 public:
  /// score = -distance. Throws c10::Error when the sizes differ or a distance is NaN.
  Roc(std::span<const double> distances, const std::vector<bool>& same);
  /// Throws c10::Error when a score is NaN.
  [[nodiscard]] static Roc of_scores(std::vector<double> genuine, std::vector<double> impostor);

  [[nodiscard]] std::int64_t genuine() const { return static_cast<std::int64_t>(genuine_.size()); }
  [[nodiscard]] std::int64_t impostors() const {
    return static_cast<std::int64_t>(impostor_.size());
  }
  [[nodiscard]] double auc() const;
  [[nodiscard]] double eer() const;
  /// TarAtFar::tar alone. Throws c10::Error for a negative FAR.
  [[nodiscard]] double tar_at_far(double far) const;
  /// One result a target, in one walk over the curve. The nearest point is looked for as the
  /// reference's scripts do with scikit-learn's roc_curve: without points at which neither step
  /// changes (drop_intermediate), and the later one (more accepted) of equally near ones.
  [[nodiscard]] std::vector<TarAtFar> at_fars(std::span<const double> fars) const;
  /// The curve from (0, 0), where nothing is accepted, to (1, 1): one point per distinct score.
  /// Empty when one of the kinds is missing.
  [[nodiscard]] std::vector<RocPoint> points() const;
  /// The points that are the last ones with a FAR not above 10^(-k / per_decade), k = 0, 1, ..., or
  /// of 0: about per_decade per decade, whatever the number of scores. per_decade: at least 1.
  [[nodiscard]] std::vector<RocPoint> points(int per_decade) const;

 private:
  Roc() = default;
  void sort();
  [[nodiscard]] bool lacks_a_kind() const { return genuine_.empty() || impostor_.empty(); }
  /// f(genuine, impostors): how many are accepted at each distinct score, downwards.
  template <class F>
  void for_each_point(const F& f) const;
  /// As for_each_point, but only those that drop_intermediate keeps, the start (0, 0) among them.
  template <class F>
  void for_each_kept_point(const F& f) const;
  [[nodiscard]] RocPoint point(std::int64_t genuine, std::int64_t impostors) const;
  void set_nearest(std::vector<TarAtFar>& rows) const;
  [[nodiscard]] std::size_t allowed_impostors(double far) const;

  std::vector<double> genuine_;   ///< descending
  std::vector<double> impostor_;  ///< descending
};

}  // namespace diffprob::eval
