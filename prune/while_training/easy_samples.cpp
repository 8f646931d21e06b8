#include "prune/while_training/easy_samples.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace diffprob::prune {
namespace {

constexpr double kUnits = 0x1p20;
/// Largest loss that counts: -log of the smallest float32 is 103.
constexpr double kMostLoss = 110;

/// -log p in units of 2^-20. Sums of 2^32 of them fit into 64 bits.
std::int64_t loss_units(float probability) {
  const double loss = -std::log(static_cast<double>(probability));
  return std::llround(std::clamp(loss, 0.0, kMostLoss) * kUnits);
}

/// Sums and numbers of losses, of all samples or by identity.
struct Means {
  explicit Means(std::size_t groups) : sums(groups), counts(groups) {}
  std::vector<std::int64_t> sums, counts;
  [[nodiscard]] bool is_below(std::int64_t loss, std::size_t group) const {
    return static_cast<__int128>(loss) * counts[group] < sums[group];
  }
};

}  // namespace

bool prunes_epoch(const EpochPruningOptions& options, std::int64_t epoch, std::int64_t epochs) {
  return options.rule != EpochPruningOptions::Rule::kNone && epoch > 0 &&
         static_cast<double>(epoch) < options.until * static_cast<double>(epochs);
}

void SampleBits::put(std::int64_t first, std::int64_t count, const std::uint64_t* bits) {
  for (std::int64_t done = 0; done < count; done += 64, ++bits) {
    const std::int64_t left = std::min<std::int64_t>(64, count - done);
    const std::uint64_t mask = left == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
    const auto word = static_cast<std::size_t>(first + done) / 64;
    const auto shift = static_cast<int>((first + done) % 64);
    words_[word] |= (*bits & mask) << shift;
    if (shift + left > 64) words_[word + 1] |= (*bits & mask) >> (64 - shift);
  }
}

SampleBits easy_samples(const DynamicsState& own, EpochPruningOptions::Rule rule,
                        std::int64_t num_samples,
                        const std::function<std::int64_t(std::int64_t)>& label_of,
                        std::int64_t num_classes, dist::HostCollectives& collectives) {
  const bool by_identity = rule == EpochPruningOptions::Rule::kIdentity;
  const auto group_of = [&](std::size_t row) {
    return by_identity ? static_cast<std::size_t>(
                             label_of(own.range.first + static_cast<std::int64_t>(row)))
                       : std::size_t{0};
  };
  const auto rows = static_cast<std::size_t>(own.range.size());
  Means means(by_identity ? static_cast<std::size_t>(num_classes) : 1);
  for (std::size_t row = 0; row < rows; ++row) {
    if (own.visits[row] == 0) continue;
    means.sums[group_of(row)] += loss_units(own.last_probability[row]);
    ++means.counts[group_of(row)];
  }
  collectives.all_reduce(std::span<std::int64_t>(means.sums), dist::ReduceOp::kSum);
  collectives.all_reduce(std::span<std::int64_t>(means.counts), dist::ReduceOp::kSum);

  std::vector<std::uint64_t> bits((rows + 63) / 64);
  for (std::size_t row = 0; row < rows; ++row) {
    if (own.visits[row] > 0 && means.is_below(loss_units(own.last_probability[row]), group_of(row)))
      bits[row / 64] |= std::uint64_t{1} << (row % 64);
  }
  std::vector<std::int64_t> counts;
  const auto all = collectives.all_gather_v(std::span<const std::uint64_t>(bits), &counts);
  SampleBits easy(num_samples);
  const std::uint64_t* next = all.data();
  for (std::size_t r = 0; r < counts.size(); ++r) {
    const SampleRange range =
        samples_of_rank(num_samples, static_cast<int>(r), static_cast<int>(counts.size()));
    easy.put(range.first, range.size(), next);
    next += counts[r];
  }
  return easy;
}

}  // namespace diffprob::prune
