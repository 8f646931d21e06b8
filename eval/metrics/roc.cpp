#include "eval/metrics/roc.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <utility>

#include <c10/util/Exception.h>

#include "eval/metrics/nan.h"

namespace diffprob::eval {
namespace {

/// How many of the descending scores are above / not below a score.
std::int64_t count_above(const std::vector<double>& scores, double score) {
  return std::lower_bound(scores.begin(), scores.end(), score, std::greater<>()) - scores.begin();
}
std::int64_t count_not_below(const std::vector<double>& scores, double score) {
  return std::upper_bound(scores.begin(), scores.end(), score, std::greater<>()) - scores.begin();
}

double share(std::int64_t part, std::size_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

void sort_descending(std::vector<double>& scores, const char* kind) {
  for (std::size_t i = 0; i < scores.size(); ++i)
    TORCH_CHECK(!std::isnan(scores[i]), "ROC: ", kind, " score ", i, " is not a number");
  if (!std::is_sorted(scores.begin(), scores.end(), std::greater<>()))
    std::sort(scores.begin(), scores.end(), std::greater<>());
}

}  // namespace

Roc::Roc(std::span<const double> distances, const std::vector<bool>& same) {
  TORCH_CHECK(distances.size() == same.size(), "ROC: ", distances.size(), " distances, but ",
              same.size(), " same / not same flags");
  for (std::size_t i = 0; i < distances.size(); ++i) {
    TORCH_CHECK(!std::isnan(distances[i]), "ROC: the distance of pair ", i, " is not a number");
    (same[i] ? genuine_ : impostor_).push_back(-distances[i]);
  }
  sort();
}

Roc Roc::of_scores(std::vector<double> genuine, std::vector<double> impostor) {
  Roc roc;
  roc.genuine_ = std::move(genuine);
  roc.impostor_ = std::move(impostor);
  roc.sort();
  return roc;
}

void Roc::sort() {
  sort_descending(genuine_, "genuine");
  sort_descending(impostor_, "impostor");
}

template <class F>
void Roc::for_each_point(const F& f) const {
  std::size_t g = 0, i = 0;
  while (g < genuine_.size() || i < impostor_.size()) {
    const double score = g == genuine_.size()    ? impostor_[i]
                         : i == impostor_.size() ? genuine_[g]
                                                 : std::max(genuine_[g], impostor_[i]);
    // No threshold lies between equal scores, so they make one point.
    while (g < genuine_.size() && genuine_[g] == score) ++g;
    while (i < impostor_.size() && impostor_[i] == score) ++i;
    f(static_cast<std::int64_t>(g), static_cast<std::int64_t>(i));
  }
}

template <class F>
void Roc::for_each_kept_point(const F& f) const {
  struct Point {
    std::int64_t genuine = 0, impostors = 0;
  };
  Point before,
      last;  // `last` is not handed over yet: whether it is kept depends on the step behind it
  std::int64_t points = 0;
  for_each_point([&](std::int64_t genuine, std::int64_t impostors) {
    const bool turns = genuine - last.genuine != last.genuine - before.genuine ||
                       impostors - last.impostors != last.impostors - before.impostors;
    // The start and the first point are always kept.
    if (points < 2 || turns) f(last.genuine, last.impostors);
    before = last;
    last = {genuine, impostors};
    ++points;
  });
  f(last.genuine, last.impostors);
}

double Roc::auc() const {
  if (lacks_a_kind()) return kNan;
  // Twice the number of (genuine, impostor) pairs in the right order, equal ones half: whole
  // numbers, so nothing is rounded before the end.
  std::int64_t twice = 0, genuine_before = 0, impostors_before = 0;
  for_each_point([&](std::int64_t genuine, std::int64_t impostors) {
    twice += (impostors - impostors_before) * (genuine + genuine_before);
    genuine_before = genuine;
    impostors_before = impostors;
  });
  return static_cast<double>(twice) / 2 / static_cast<double>(genuine_.size()) /
         static_cast<double>(impostor_.size());
}

double Roc::eer() const {
  if (lacks_a_kind()) return kNan;
  double result = kNan, before = -1, fpr_before = 0;
  // fpr - (1 - tpr) rises strictly from -1 to 1: it crosses 0 once.
  for_each_point([&](std::int64_t genuine, std::int64_t impostors) {
    if (!std::isnan(result)) return;
    const double fpr = share(impostors, impostor_.size());
    const double after = fpr + share(genuine, genuine_.size()) - 1;
    if (after >= 0) result = fpr_before - before / (after - before) * (fpr - fpr_before);
    before = after;
    fpr_before = fpr;
  });
  return result;
}

/// The most impostors that may pass.
std::size_t Roc::allowed_impostors(double far) const {
  TORCH_CHECK(far >= 0, "tar_at_far: expected a FAR of 0 or more, got ", far);
  std::size_t low = 0, high = impostor_.size();  // low always may pass
  while (low < high) {
    const std::size_t middle = low + (high - low + 1) / 2;
    if (share(static_cast<std::int64_t>(middle), impostor_.size()) <= far)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

double Roc::tar_at_far(double far) const {
  if (lacks_a_kind()) return kNan;
  const std::size_t allowed = allowed_impostors(far);
  return allowed == impostor_.size()
             ? 1
             : share(count_above(genuine_, impostor_[allowed]), genuine_.size());
}

std::vector<TarAtFar> Roc::at_fars(std::span<const double> fars) const {
  std::vector<TarAtFar> rows;
  for (const double far : fars) {
    TarAtFar row{
        far, kNan, kNan, kNan, kNan, kNan, far * static_cast<double>(impostor_.size()) >= 1};
    rows.push_back(row);
    if (lacks_a_kind()) continue;
    const std::size_t allowed = allowed_impostors(far);
    rows.back().threshold = -std::numeric_limits<double>::infinity();
    rows.back().tar = rows.back().tar_interpolated = 1;
    if (allowed == impostor_.size()) continue;
    const double score = impostor_[allowed];  // of the first impostor that must not pass
    const double fpr = share(count_above(impostor_, score), impostor_.size());
    const double next_fpr = share(count_not_below(impostor_, score), impostor_.size());
    const double next_tpr = share(count_not_below(genuine_, score), genuine_.size());
    rows.back().threshold = score;
    rows.back().tar = share(count_above(genuine_, score), genuine_.size());
    rows.back().tar_interpolated =
        rows.back().tar + (far - fpr) / (next_fpr - fpr) * (next_tpr - rows.back().tar);
  }
  if (!lacks_a_kind()) set_nearest(rows);
  return rows;
}

RocPoint Roc::point(std::int64_t genuine, std::int64_t impostors) const {
  double threshold = std::numeric_limits<double>::infinity();
  if (genuine > 0) threshold = std::min(threshold, genuine_[static_cast<std::size_t>(genuine - 1)]);
  if (impostors > 0)
    threshold = std::min(threshold, impostor_[static_cast<std::size_t>(impostors - 1)]);
  return {share(impostors, impostor_.size()), share(genuine, genuine_.size()), threshold};
}

std::vector<RocPoint> Roc::points() const {
  if (lacks_a_kind()) return {};
  std::vector<RocPoint> curve = {point(0, 0)};
  for_each_point([&](std::int64_t genuine, std::int64_t impostors) {
    curve.push_back(point(genuine, impostors));
  });
  return curve;
}

std::vector<RocPoint> Roc::points(int per_decade) const {
  TORCH_CHECK(per_decade >= 1, "ROC: expected at least one point per decade, got ", per_decade);
  if (lacks_a_kind()) return {};
  const auto impostors = static_cast<double>(impostor_.size());
  auto step = static_cast<std::int64_t>(std::ceil(per_decade * std::log10(impostors)));
  double limit = 0;  // the highest FAR that the next point of the result may have
  RocPoint last = point(0, 0);
  std::vector<RocPoint> curve = {last};
  for_each_point([&](std::int64_t genuine, std::int64_t accepted) {
    const RocPoint next = point(genuine, accepted);
    if (next.far > limit) {
      if (last.far > curve.back().far || last.tar > curve.back().tar) curve.push_back(last);
      for (; limit < next.far; --step)
        limit = std::pow(10, -static_cast<double>(std::max<std::int64_t>(step, 0)) / per_decade);
    }
    last = next;
  });
  curve.push_back(last);  // (1, 1)
  return curve;
}

void Roc::set_nearest(std::vector<TarAtFar>& rows) const {
  std::vector<double> distance(rows.size(), std::numeric_limits<double>::infinity());
  for_each_kept_point([&](std::int64_t genuine, std::int64_t impostors) {
    const double fpr = share(impostors, impostor_.size());
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const double d = std::abs(fpr - rows[r].far_target);
      if (d > distance[r]) continue;
      distance[r] = d;
      rows[r].far_nearest = fpr;
      rows[r].tar_nearest = share(genuine, genuine_.size());
    }
  });
}

}  // namespace diffprob::eval
