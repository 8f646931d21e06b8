#include "prune/cleaning/noise_rate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace diffprob::prune {
namespace {

constexpr double kQuantile = 1.959963984540054;  // of 97.5 %
constexpr double kLittle = 0.005;                // less noise than this is called little

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", 100 * share);
  return text;
}

}  // namespace

void NoiseCounts::add(const Evidence& evidence, const ConfidentGuess& guess) {
  const auto predicted = static_cast<std::size_t>(evidence.top1);
  ++predicted_[predicted];
  if (!guess.top1_is_confident(evidence)) return;
  ++confident_[predicted];
  other_[predicted] += evidence.top1 == evidence.label ? 0 : 1;
}

void NoiseCounts::finish(dist::HostCollectives& collectives) {
  for (auto* counts : {&predicted_, &confident_, &other_})
    collectives.all_reduce(std::span<std::int64_t>(*counts), dist::ReduceOp::kSum);
}

NoiseRate NoiseCounts::rate() const {
  NoiseRate noise{0, 0, 1, 0, 0};
  double samples = 0;
  double wrong = 0;
  double spread = 0;
  for (std::size_t c = 0; c < confident_.size(); ++c) {
    if (confident_[c] == 0) continue;
    const auto size = static_cast<double>(predicted_[c]);
    const auto confident = static_cast<double>(confident_[c]);
    samples += size;
    wrong += size * static_cast<double>(other_[c]) / confident;
    spread += size * size / confident;
    noise.confident += confident_[c];
    noise.other += other_[c];
  }
  if (samples == 0) return noise;
  noise.rate = wrong / samples;
  const double n = samples * samples / spread;
  const double z2 = kQuantile * kQuantile / n;
  const double middle = (noise.rate + z2 / 2) / (1 + z2);
  const double half = std::sqrt(z2 * noise.rate * (1 - noise.rate) + z2 * z2 / 4) / (1 + z2);
  noise.low = std::clamp(middle - half, 0.0, noise.rate);
  noise.high = std::clamp(middle + half, noise.rate, 1.0);
  return noise;
}

std::string verdict(const NoiseRate& noise, std::int64_t dropped, std::int64_t samples) {
  const std::string estimate = "this network is confident that " + percent(noise.rate) +
                               " % of the labels are wrong (95 % interval of sampling alone " +
                               percent(noise.low) + " to " + percent(noise.high) + " %): ";
  if (noise.confident == 0) return "no sample is confident, so nothing is known of the labels";
  if (noise.high < kLittle)
    return estimate + "cleaning is hardly worth it, the labels are nearly all right";
  const double share =
      static_cast<double>(dropped) / static_cast<double>(std::max<std::int64_t>(samples, 1));
  if (share > 2 * noise.high)
    return estimate + "cleaning drops " + percent(share) +
           " %, more than twice as many: sound samples among them (prune.clean_precision or a "
           "stricter prune.clean_rule keeps them), or the network knows wrong labels by heart "
           "(score.head=centroids or score.folds sees more of them)";
  if (noise.low >= kLittle) return estimate + "cleaning is worth it";
  return estimate + "whether cleaning is worth it is open";
}

}  // namespace diffprob::prune
