// What face sheets show.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "launch/report/faces.h"

namespace diffprob::launch {
namespace {

std::int64_t count_of(const IdentityOutcome& identity, SampleOutcome outcome) {
  return identity.samples[static_cast<std::size_t>(outcome)];
}

/// The method keeps nothing of it (deep): there is no kept image that the pruned ones stand beside.
bool left_out(const IdentityOutcome& identity) {
  return count_of(identity, SampleOutcome::kKept) == 0 &&
         count_of(identity, SampleOutcome::kPruned) > 0;
}

class Choice {
 public:
  Choice(const std::vector<IdentityOutcome>& identities, std::size_t each)
      : identities_(identities), each_(each), taken_(identities.size(), false) {}

  /// The `each_` identities with the largest positive `value`, ties by the smaller label.
  template <class Value>
  void take_largest(const std::string& why, const Value& value) {
    std::vector<std::size_t> order;
    for (std::size_t c = 0; c < identities_.size(); ++c) {
      if (!taken_[c] && value(identities_[c]) > 0) order.push_back(c);
    }
    const std::size_t count = std::min(each_, order.size());
    const auto before = [&](std::size_t a, std::size_t b) {
      const auto x = value(identities_[a]), y = value(identities_[b]);
      return x != y ? x > y : a < b;
    };
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count),
                      order.end(), before);
    for (std::size_t i = 0; i < count; ++i) {
      taken_[order[i]] = true;
      chosen_.push_back({static_cast<std::int64_t>(order[i]), why});
    }
  }

  void take_typical() {
    std::vector<std::int64_t> sizes;
    double kept = 0, all = 0;
    for (const auto& identity : identities_) {
      if (identity.all() == 0 || left_out(identity)) continue;
      sizes.push_back(identity.all());
      kept += static_cast<double>(count_of(identity, SampleOutcome::kKept));
      all += static_cast<double>(identity.all());
    }
    if (sizes.empty()) return;
    std::nth_element(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2),
                     sizes.end());
    const auto median = static_cast<double>(sizes[sizes.size() / 2]);
    take_largest("typical", [&](const IdentityOutcome& identity) {
      if (identity.all() == 0 || left_out(identity)) return 0.0;
      const auto size = static_cast<double>(identity.all());
      const double share = static_cast<double>(count_of(identity, SampleOutcome::kKept)) / size;
      // Whole percents first, so that the size decides among those that are alike.
      return 1e6 - 1e3 * std::round(100 * std::abs(share - kept / all)) -
             std::min(std::abs(size - median), 999.0);
    });
  }

  [[nodiscard]] std::vector<ChosenIdentity> take() { return std::move(chosen_); }

 private:
  const std::vector<IdentityOutcome>& identities_;
  std::size_t each_;
  std::vector<bool> taken_;
  std::vector<ChosenIdentity> chosen_;
};

}  // namespace

std::vector<ChosenIdentity> choose_identities(const std::vector<IdentityOutcome>& identities,
                                              std::size_t each) {
  Choice choice(identities, each);
  choice.take_largest("most pruned", [](const auto& i) {
    return left_out(i) ? 0 : count_of(i, SampleOutcome::kPruned);
  });
  choice.take_largest("most removed by cleaning",
                      [](const auto& i) { return count_of(i, SampleOutcome::kCleaned); });
  choice.take_typical();
  return choice.take();
}

std::size_t FaceSheet::shown() const {
  return std::accumulate(groups.begin(), groups.end(), cleaned.size(),
                         [](std::size_t sum, const auto& g) { return sum + 1 + g.pruned.size(); });
}

FaceSheet make_sheet(const ChosenIdentity& identity, const IdentityOutcome& counts,
                     std::vector<prune::ScoredSample> samples, const SheetLimits& limits) {
  std::sort(samples.begin(), samples.end(), [](const auto& a, const auto& b) {
    return std::tie(a.nll, a.index) < std::tie(b.nll, b.index);
  });
  FaceSheet sheet{identity, counts, {}, {}};
  std::vector<FaceGroup> groups;
  for (const auto& sample : samples) {
    const SampleOutcome outcome = outcome_of(sample.reason);
    if (outcome == SampleOutcome::kKept) groups.push_back({sample, {}});
    if (outcome == SampleOutcome::kPruned && !groups.empty() &&
        groups.back().pruned.size() < limits.pruned)
      groups.back().pruned.push_back(sample);
    if (outcome == SampleOutcome::kCleaned && sheet.cleaned.size() < limits.cleaned)
      sheet.cleaned.push_back(sample);
  }
  const std::size_t shown = std::min(limits.groups, groups.size());
  for (std::size_t i = 0; i < shown; ++i) {
    // Of each stretch of the ranking the first group with most pruned images.
    const auto begin = groups.begin() + static_cast<std::ptrdiff_t>(i * groups.size() / shown);
    const auto end = groups.begin() + static_cast<std::ptrdiff_t>((i + 1) * groups.size() / shown);
    sheet.groups.push_back(
        std::move(*std::max_element(begin, end, [](const auto& a, const auto& b) {
          return a.pruned.size() < b.pruned.size();
        })));
  }
  return sheet;
}

std::string probability_text(const prune::ScoredSample& sample) {
  const double below_one = -std::expm1(-static_cast<double>(sample.nll));
  if (sample.probability > 0.999F) {
    // No blanks and the shortest exponent: it stands below a small image.
    std::string text = fmt::format("1\u2212{:.1e}", below_one);
    if (const auto zero = text.find("e-0"); zero != std::string::npos) text.erase(zero + 2, 1);
    return text;
  }
  return sample.probability < 1e-3F ? fmt::format("{:.1e}", sample.probability)
                                    : fmt::format("{:.3f}", sample.probability);
}

}  // namespace diffprob::launch
