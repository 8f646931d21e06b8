#include "prune/random.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "prune/error.h"

namespace diffprob::prune {
namespace {

/// splitmix64 as a counter-based generator: the stream is a function of (seed, identity) alone.
class IdentityStream {
 public:
  IdentityStream(std::uint64_t seed, std::int64_t identity) : base_(mix(mix(seed) + static_cast<std::uint64_t>(identity))) {}

  /// Uniform in [0, bound), bound > 0. Draws from the incomplete last round of 2^64 are refused: no bias.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t incomplete = (0 - bound) % bound;
    std::uint64_t draw = next();
    while (draw < incomplete) draw = next();
    return draw % bound;
  }

 private:
  static std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31U);
  }
  std::uint64_t next() { return mix(base_ + counter_++); }

  std::uint64_t base_;
  std::uint64_t counter_ = 0;
};

/// Brings `count` samples drawn without replacement to the front.
void draw_to_front(std::vector<std::uint32_t>& samples, std::size_t count, IdentityStream stream) {
  for (std::size_t i = 0; i < count; ++i) std::swap(samples[i], samples[i + stream.below(samples.size() - i)]);
}

void check(const IdentityGroups& groups, const RandomOptions& options, std::size_t reasons) {
  if (!(options.fraction >= 0 && options.fraction <= 1)) {
    throw PruneError("random: fraction is " + std::to_string(options.fraction) + ", expected 0 to 1");
  }
  if (options.min_kept < 1) throw PruneError("random: min_kept is " + std::to_string(options.min_kept) + ", expected at least 1");
  if (reasons != groups.order.size()) {
    throw PruneError("random: " + std::to_string(reasons) + " reasons for " + std::to_string(groups.order.size()) +
                     " labelled samples, expected the same number");
  }
}

/// One identity; `samples`: the usable ones, indices increasing, in what order they are kept after the call.
void select_identity(std::vector<std::uint32_t>& samples, std::int64_t identity, const RandomOptions& options, std::span<Reason> reasons) {
  const auto n = static_cast<std::int64_t>(samples.size());
  std::int64_t by_fraction = n;
  std::int64_t kept = n;
  if (n > options.min_kept) {
    by_fraction = static_cast<std::int64_t>(static_cast<double>(n) * options.fraction);
    kept = std::max(by_fraction, options.min_kept);
    if (options.draw == RandomOptions::Draw::kTail) {
      std::reverse(samples.begin(), samples.end());
    } else {
      draw_to_front(samples, static_cast<std::size_t>(kept), IdentityStream(options.seed, identity));
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const Reason reason = i < by_fraction ? Reason::kKept : i < kept ? Reason::kKeptByFloor : Reason::kRedundant;
    reasons[samples[static_cast<std::size_t>(i)]] = reason;
  }
}

}  // namespace

void select_random(const IdentityGroups& groups, IdentityRange range, const RandomOptions& options, std::span<Reason> reasons) {
  check(groups, options, reasons.size());
  std::vector<std::uint32_t> usable;
  for (std::int64_t c = range.first; c < range.last; ++c) {
    usable.clear();
    for (const std::uint32_t sample : groups.samples(c)) {
      if (is_kept(reasons[sample])) usable.push_back(sample);
    }
    select_identity(usable, c, options, reasons);
  }
}

}  // namespace diffprob::prune
