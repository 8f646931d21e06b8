#pragma once

// The selections on arrays indexed by sample, for tests on one process.

#include <cmath>
#include <functional>
#include <utility>

#include "prune/lists/index_set.h"
#include "prune/select/diffprob.h"
#include "prune/select/random.h"
#include "prune/select/ranked.h"
#include "tests/prune/synthetic.h"
#include "tests/prune/whole_selection.h"

namespace diffprob::prune::tests {

/// The usable samples of identities [first, last), grouped.
class UsableSlots {
 public:
  UsableSlots(const std::vector<std::int32_t>& labels, const std::vector<Reason>& reasons,
              IdentityRange range)
      : range_(range) {
    begin_.push_back(0);
    for (std::int64_t c = range.first; c < range.last; ++c) {
      for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] == c && is_kept(reasons[i])) samples_.push_back(i);
      }
      begin_.push_back(static_cast<std::int64_t>(samples_.size()));
    }
  }
  /// Identities [0, classes), in linear time.
  UsableSlots(const std::vector<std::int32_t>& labels, const std::vector<Reason>& reasons,
              std::int64_t classes)
      : range_{0, classes} {
    std::vector<std::vector<std::size_t>> groups(static_cast<std::size_t>(classes));
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (is_kept(reasons[i]) && labels[i] < classes)
        groups[static_cast<std::size_t>(labels[i])].push_back(i);
    }
    begin_.push_back(0);
    for (const auto& group : groups) {
      samples_.insert(samples_.end(), group.begin(), group.end());
      begin_.push_back(static_cast<std::int64_t>(samples_.size()));
    }
  }
  [[nodiscard]] IdentitySlots identities() const { return {range_.first, begin_}; }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(samples_.size()); }

  template <class T>
  [[nodiscard]] std::vector<T> of(const std::vector<T>& by_sample) const {
    std::vector<T> by_slot;
    for (const std::size_t i : samples_) by_slot.push_back(by_sample[i]);
    return by_slot;
  }
  /// Runs select(reasons of slots) and writes what it says into the reasons of the samples.
  template <class Select>
  void decide(std::vector<Reason>& reasons, const Select& select) const {
    std::vector<Reason> of_slots(samples_.size(), Reason::kUnreadable);
    select(std::span<Reason>(of_slots));
    for (std::size_t slot = 0; slot < samples_.size(); ++slot)
      reasons[samples_[slot]] = of_slots[slot];
  }

 private:
  IdentityRange range_;
  std::vector<std::int64_t> begin_;
  std::vector<std::size_t> samples_;  // of each slot
};

inline Ties ties_of(Preset preset) {
  return preset == Preset::kReference ? Ties::kLast : Ties::kFirst;
}

/// Sorted as DiffProb of that preset wants it.
inline SortedIdentities sorted_of(const UsableSlots& slots, const std::vector<float>& nll,
                                  const std::vector<float>& probability, Preset preset) {
  if (preset == Preset::kDefault)
    return SortedIdentities::from_nll(slots.identities(), slots.of(nll), Ties::kFirst);
  return SortedIdentities(slots.identities(), std::span<const float>(slots.of(probability)),
                          Ties::kLast);
}

/// By selecting and counting, without ThresholdCounter.
inline std::int64_t count_one(const SortedIdentities& sorted, const DiffProbOptions& options) {
  std::int64_t slots = 0;
  for (std::int64_t c = 0; c < sorted.identities(); ++c)
    slots += static_cast<std::int64_t>(sorted.slots(c).size());
  Selection selection{std::vector<Reason>(static_cast<std::size_t>(slots), Reason::kUnreadable)};
  select_diffprob(sorted, options, selection.reasons);
  return selection.kept();
}

inline void select_diffprob_of(const std::vector<float>& nll, const std::vector<float>& probability,
                               const std::vector<std::int32_t>& labels, IdentityRange range,
                               const DiffProbOptions& options, std::vector<Reason>& reasons) {
  const UsableSlots slots = range.first == 0 ? UsableSlots(labels, reasons, range.last)
                                             : UsableSlots(labels, reasons, range);
  slots.decide(reasons, [&](std::span<Reason> of_slots) {
    select_diffprob(sorted_of(slots, nll, probability, options.preset), options, of_slots);
  });
}

inline void select_random_of(const std::vector<std::int32_t>& labels, IdentityRange range,
                             const RandomOptions& options, std::vector<Reason>& reasons) {
  const UsableSlots slots(labels, reasons, range);
  slots.decide(reasons, [&](std::span<Reason> of_slots) {
    select_random(slots.identities(), options, of_slots);
  });
}

inline std::vector<float> nll_of(const ScoreTable& table) {
  std::vector<float> values;
  for (const auto& record : table.records) values.push_back(record.nll);
  return values;
}

inline std::vector<float> probability_of(const ScoreTable& table) {
  std::vector<float> values;
  for (const auto& record : table.records) values.push_back(record.probability);
  return values;
}

}  // namespace diffprob::prune::tests
