#include "eval/metrics/verification_curves.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/metrics/roc.h"

namespace diffprob::eval {
namespace {

constexpr int kPointsPerDecade = 20;

std::size_t bin_of(double distance) {
  const double similarity = 1 - distance / 2;
  const double bin =
      std::floor((similarity + 1) / 2 * static_cast<double>(VerificationCurves::kBins));
  return static_cast<std::size_t>(
      std::clamp(bin, 0.0, static_cast<double>(VerificationCurves::kBins - 1)));
}

}  // namespace

VerificationCurves verification_curves(std::span<const double> distances,
                                       const std::vector<bool>& same) {
  const Roc roc(distances, same);  // checks the sizes
  VerificationCurves curves;
  for (std::size_t i = 0; i < distances.size(); ++i)
    ++(same[i] ? curves.genuine : curves.impostor)[bin_of(distances[i])];

  const auto impostors =
      std::accumulate(curves.impostor.begin(), curves.impostor.end(), std::int64_t{0});
  if (impostors == 0 || impostors == static_cast<std::int64_t>(same.size())) return curves;
  const int points =
      static_cast<int>(std::ceil(kPointsPerDecade * std::log10(static_cast<double>(impostors))));
  for (int k = points; k >= 0; --k) {
    // The lowest one is met exactly: a power of ten next to it could round below the first
    // impostor.
    const double far = k == points ? 1 / static_cast<double>(impostors)
                                   : std::pow(10, -static_cast<double>(k) / kPointsPerDecade);
    curves.far.push_back(far);
    curves.tar.push_back(roc.tar_at_far(far));
  }
  return curves;
}

}  // namespace diffprob::eval
