#include "data/synthetic/plan.h"

#include <algorithm>
#include <cmath>

#include "data/error.h"
#include "data/loading/sampler.h"
#include "data/random/keyed_random.h"

namespace diffprob::data {
namespace {

constexpr std::int64_t kFolds = 10;

std::uint64_t key_of(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

void check_options(const SyntheticFacesOptions& options) {
  const auto require = [](bool good, const char* name, double found, const char* wanted) {
    if (!good)
      throw DataError(std::string("synthetic faces: ") + name + " is " + std::to_string(found) +
                      ", expected " + wanted);
  };
  const auto require_share = [&](const char* name, double share) {
    require(share >= 0.0 && share <= 1.0, name, share, "a share from 0 to 1");
  };
  const auto count = [](std::int64_t value) { return static_cast<double>(value); };
  require(options.identities >= 1, "identities", count(options.identities), "at least 1");
  require(options.images_per_identity >= 1, "images_per_identity",
          count(options.images_per_identity), "at least 1");
  require_share("near_duplicates", options.near_duplicates);
  require_share("flipped_labels", options.flipped_labels);
  require_share("hard_samples", options.hard_samples);
  const double sum = options.near_duplicates + options.flipped_labels + options.hard_samples;
  require(sum <= 0.9, "near_duplicates + flipped_labels + hard_samples", sum, "at most 0.9");
  require(options.flipped_labels == 0.0 || options.identities >= 2, "identities",
          count(options.identities), "at least 2, because labels are flipped");
  require(options.verification_pairs >= 0, "verification_pairs", count(options.verification_pairs),
          "at least 0");
  require(options.verification_pairs == 0 || options.verification_identities >= 2,
          "verification_identities", count(options.verification_identities), "at least 2");
  require(options.threads >= 1, "threads", options.threads, "at least 1");
  require(options.identity_spread >= 0.0 && options.identity_spread <= 3.0, "identity_spread",
          options.identity_spread, "0 to 3");
  require(options.nuisance >= 0.0 && options.nuisance <= 3.0, "nuisance", options.nuisance,
          "0 to 3");
}

/// Images of each identity: the mean, give or take a third.
std::vector<std::int64_t> draw_counts(const SyntheticFacesOptions& options) {
  KeyedRandom random(combine_key(options.seed, key_of_name("counts")));
  const std::int64_t third = options.images_per_identity / 3;
  std::vector<std::int64_t> counts;
  for (std::int64_t i = 0; i < options.identities; ++i) {
    counts.push_back(options.images_per_identity - third +
                     static_cast<std::int64_t>(random.below(key_of(2 * third + 1))));
  }
  return counts;
}

/// How many of the samples [begin, end) carry a mark that `share` of all samples carry: sums to the
/// exact share, spread evenly.
std::int64_t share_of(std::int64_t begin, std::int64_t end, double share) {
  const auto up_to = [share](std::int64_t n) {
    return static_cast<std::int64_t>(std::floor(static_cast<double>(n) * share + 0.5));
  };
  return up_to(end) - up_to(begin);
}

/// The kinds of one identity's samples, in a keyed order; the first in that order stays plain.
void plant(std::vector<PlannedSample>& plan, std::int64_t begin,
           const SyntheticFacesOptions& options, std::uint64_t key) {
  const auto end = static_cast<std::int64_t>(plan.size());
  const Permutation order(end - begin, key);
  KeyedRandom random(combine_key(key, key_of_name("plant")));
  std::int64_t next = 1;
  const auto take = [&](double share, PlantedKind kind) {
    for (std::int64_t left = share_of(begin, end, share); left > 0 && next < end - begin; --left) {
      plan[static_cast<std::size_t>(begin + order(next++))].kind = kind;
    }
  };
  take(options.flipped_labels, PlantedKind::kFlippedLabel);
  take(options.hard_samples, PlantedKind::kHard);
  take(options.near_duplicates, PlantedKind::kNearDuplicate);
  std::vector<std::int64_t> plain;
  for (std::int64_t i = begin; i < end; ++i) {
    if (plan[static_cast<std::size_t>(i)].kind == PlantedKind::kPlain) plain.push_back(i);
  }
  for (std::int64_t i = begin; i < end; ++i) {
    PlannedSample& sample = plan[static_cast<std::size_t>(i)];
    if (sample.kind == PlantedKind::kNearDuplicate)
      sample.source = plain[random.below(plain.size())];
    if (sample.kind == PlantedKind::kFlippedLabel) {
      const auto other = static_cast<std::int64_t>(random.below(key_of(options.identities - 1)));
      sample.true_label = other < sample.label ? other : other + 1;
    }
  }
}

const char* name_of(PlantedKind kind) {
  switch (kind) {
    case PlantedKind::kHard:
      return "hard";
    case PlantedKind::kNearDuplicate:
      return "near_duplicate";
    case PlantedKind::kFlippedLabel:
      return "flipped_label";
    default:
      return "plain";
  }
}

}  // namespace

std::vector<PlannedSample> plan_training_set(const SyntheticFacesOptions& options) {
  check_options(options);
  const std::vector<std::int64_t> counts = draw_counts(options);
  std::vector<PlannedSample> plan;
  for (std::int64_t label = 0; label < options.identities; ++label) {
    const auto begin = static_cast<std::int64_t>(plan.size());
    PlannedSample sample;
    sample.label = sample.true_label = label;
    plan.insert(plan.end(), static_cast<std::size_t>(counts[static_cast<std::size_t>(label)]),
                sample);
    plant(plan, begin, options,
          combine_key(combine_key(options.seed, key_of_name("kinds")), key_of(label)));
  }
  return plan;
}

std::vector<VerificationPicture> plan_verification_set(const SyntheticFacesOptions& options) {
  KeyedRandom random(combine_key(options.seed, key_of_name("pairs")));
  const std::int64_t folds = options.verification_identities >= 2 * kFolds ? kFolds : 1;
  std::vector<VerificationPicture> pictures;
  for (std::int64_t pair = 0; pair < options.verification_pairs; ++pair) {
    const std::int64_t fold = pair * folds / options.verification_pairs;
    const std::int64_t first = options.verification_identities * fold / folds;
    const std::int64_t people = options.verification_identities * (fold + 1) / folds - first;
    const auto one = static_cast<std::int64_t>(random.below(key_of(people)));
    const auto step = 1 + static_cast<std::int64_t>(random.below(key_of(people - 1)));
    const std::int64_t other = pair % 2 == 0 ? one : (one + step) % people;
    pictures.push_back({first + one, 2 * pair});
    pictures.push_back({first + other, 2 * pair + 1});
  }
  return pictures;
}

std::string planted_csv(const std::vector<PlannedSample>& plan) {
  std::string text = "index,label,true_label,kind,source\n";
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const PlannedSample& sample = plan[i];
    text += std::to_string(i) + ',' + std::to_string(sample.label) + ',' +
            std::to_string(sample.true_label) + ',' + name_of(sample.kind) + ',' +
            std::to_string(sample.source) + '\n';
  }
  return text;
}

}  // namespace diffprob::data
