#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "prune/cleaning/noise_rate.h"
#include "prune/methods/methods.h"
#include "prune/prune.h"
#include "prune/select/identity_stream.h"
#include "prune/tables/dynamics.h"
#include "tests/prune/in_memory.h"
#include "tests/prune/whole_selection.h"

namespace diffprob::prune::tests {

/// Slow, obvious pruning of whole tables on one process.
class Obvious {
 public:
  Obvious(const ScoreTable& scores, const DynamicsTable& dynamics, const PruneOptions& options)
      : scores_(scores),
        dynamics_(dynamics),
        options_(options),
        n_(scores.labels.size()),
        reasons_(n_, Reason::kKept) {
    if (options.clean) clean();
    usable_ = Selection{reasons_}.kept();
    for (std::size_t i = 0; i < n_; ++i) {
      if (is_kept(reasons_[i])) members_[scores.labels[i]].push_back(i);
    }
    const std::string method = method_name(options.method);
    if (method == "diffprob") diffprob();
    if (is_ranked(method)) ranked();
    if (method == "random") random();
    if (method == "ccs") ccs();
    if (method == "balanced" || method == "balanced_easy" || method == "deep") balanced();
    if (method == "deep_diffprob") deep_diffprob();
    for (const std::size_t i : given_back_)
      if (reasons_[i] == Reason::kKept) reasons_[i] = Reason::kKeptByFloor;
  }
  [[nodiscard]] const std::vector<Reason>& reasons() const { return reasons_; }

 private:
  [[nodiscard]] static bool is_ranked(const std::string& method) {
    return method == "dynunc" || method == "el2n" || method == "forgetting" || method == "aum";
  }
  void clean() {
    std::map<std::int32_t, std::pair<double, double>> sums;
    for (std::size_t i = 0; i < n_; ++i) {
      auto& [sum, count] = sums[scores_.labels[i]];
      sum += std::exp(-static_cast<double>(scores_.records[i].nll));
      count += 1;
    }
    for (std::size_t i = 0; i < n_; ++i) {
      const ScoreRecord& record = scores_.records[i];
      bool wrong = record.top1 != scores_.labels[i];
      if (options_.cleaning.margin > 0)
        wrong = wrong && record.top1_log_prob + record.nll > options_.cleaning.margin;
      if (options_.cleaning.rule == CleanRule::kConfident) {
        const auto found = sums.find(record.top1);
        wrong = wrong && found != sums.end() &&
                std::exp(static_cast<double>(record.top1_log_prob)) >=
                    found->second.first / found->second.second;
      }
      if (wrong) reasons_[i] = Reason::kMislabelled;
    }
    if (options_.cleaning.precision > 0) keep_below_precision();
    if (options_.cleaning.floor > 0) keep_clean_floor();
  }
  /// log p of the best other class minus log p of the label.
  [[nodiscard]] double margin(std::size_t i) const {
    const ScoreRecord& record = scores_.records[i];
    const float other =
        record.top1 == scores_.labels[i] ? record.second_log_prob : record.top1_log_prob;
    return static_cast<double>(other) + static_cast<double>(record.nll);
  }
  [[nodiscard]] double expected_wrong() const {
    ClassThresholds thresholds(scores_.source.num_classes);
    for (std::size_t i = 0; i < n_; ++i) {
      const float own = -scores_.records[i].nll;
      thresholds.add(std::span(&scores_.labels[i], 1), std::span(&own, 1));
    }
    const ConfidentGuess guess(thresholds);
    NoiseCounts noise(scores_.source.num_classes);
    for (std::size_t i = 0; i < n_; ++i) {
      const ScoreRecord& r = scores_.records[i];
      noise.add(evidence_of(scores_.labels[i], r.top1, r.top1_log_prob, r.second_log_prob, -r.nll),
                guess);
    }
    return noise.rate().rate * static_cast<double>(n_);
  }
  /// Every sample as if it lay in the middle of its step of 1/64; tries every step as the margin.
  void keep_below_precision() {
    const auto step = [&](std::size_t i) { return std::ceil(margin(i) * 64) - 1; };
    const auto wrong = [&](std::size_t i, double shift) {
      return 1 / (1 + std::exp(-((step(i) + 0.5) / 64 + shift)));
    };
    const auto sum_of_all = [&](double shift) {
      double sum = 0;
      for (std::size_t i = 0; i < n_; ++i) sum += wrong(i, shift);
      return sum;
    };
    const double expected = expected_wrong();
    double shift = 0;  // the largest of a fine grid that does not expect more
    for (const double size : {16.0, 1.0, 1.0 / 16, 1.0 / 256, 0x1p-12, 0x1p-16, 0x1p-20, 0x1p-24}) {
      while (sum_of_all(shift) > expected) shift -= size;
      if (shift < 0) shift += size;
    }
    double least = std::numeric_limits<double>::infinity();
    for (int edge = 64 * 16; edge >= -64 * 16; --edge) {
      double sum = 0, count = 0;
      for (std::size_t i = 0; i < n_; ++i) {
        if (reasons_[i] != Reason::kMislabelled || step(i) < edge) continue;
        sum += wrong(i, shift);
        ++count;
      }
      if (count > 0 && sum >= options_.cleaning.precision * count) least = edge;
    }
    for (std::size_t i = 0; i < n_; ++i)
      if (reasons_[i] == Reason::kMislabelled && step(i) < least) reasons_[i] = Reason::kKept;
  }
  /// One sample after the other comes back until the identity has enough.
  void keep_clean_floor() {
    for (std::int32_t c = 0; c < scores_.source.num_classes; ++c) {
      while (true) {
        std::int64_t kept = 0;
        std::optional<std::size_t> next;
        for (std::size_t i = 0; i < n_; ++i) {
          if (scores_.labels[i] != c) continue;
          kept += is_kept(reasons_[i]) ? 1 : 0;
          if (reasons_[i] == Reason::kMislabelled &&
              (!next || scores_.records[i].nll < scores_.records[*next].nll))
            next = i;
        }
        if (kept >= options_.cleaning.floor || !next) break;
        reasons_[*next] = Reason::kKeptByFloor;
        given_back_.push_back(*next);
      }
    }
  }
  /// What is kept first is larger.
  [[nodiscard]] double value(std::size_t i) const {
    const ScoreRecord& record = scores_.records[i];
    const DynamicsRows& rows = dynamics_.rows;
    const std::string method = method_name(options_.method);
    if (method == "diffprob" && options_.score == ScoreKind::kMean) return rows.mean_probability[i];
    if (method == "diffprob" && options_.score == ScoreKind::kLastEpoch)
      return rows.last_probability[i];
    if (method == "diffprob" && options_.diffprob.preset == Preset::kReference)
      return record.probability;
    if (method == "diffprob") return std::expm1(-static_cast<double>(record.nll));
    double value = 0;
    if (method == "dynunc") value = rows.uncertainty[i];
    if (method == "forgetting") value = rows.forgetting[i];
    if (method == "aum" || (method == "ccs" && options_.ccs.score == CcsOptions::Score::kAum))
      value = rows.aum[i];
    if (method == "el2n" || (method == "ccs" && options_.ccs.score == CcsOptions::Score::kEl2n)) {
      const double p = std::exp(-static_cast<double>(record.nll));
      value = std::sqrt(std::max(0.0, record.sum_p2 - 2 * p + 1));
    }
    const bool turned =
        (is_ranked(method) && options_.ranked.keep == RankedOptions::Keep::kLowest) ||
        (method == "ccs" && options_.ccs.score == CcsOptions::Score::kAum);
    return turned ? -value : value;
  }
  [[nodiscard]] double target() const {
    return std::min<double>(
        static_cast<double>(std::llround(*options_.keep_ratio * static_cast<double>(n_))),
        static_cast<double>(usable_));
  }
  /// Every fraction at which some identity keeps one more.
  [[nodiscard]] double matched_fraction() const {
    const Floor floor;  // of all cases that match
    const auto miss = [&](double share) {
      double kept = -target();
      for (const auto& [label, order] : members_) {
        const auto n = static_cast<std::int64_t>(order.size());
        kept += static_cast<double>(std::max(
            std::min(n, floor.of(n)), static_cast<std::int64_t>(static_cast<double>(n) * share)));
      }
      return std::pair(std::abs(kept), kept);  // of two equally near, the one below
    };
    double best = 0;
    for (const auto& [label, order] : members_) {
      for (std::size_t k = 1; k <= order.size(); ++k) {
        const double share =
            std::nextafter(static_cast<double>(k) / static_cast<double>(order.size()), 1.0);
        if (miss(share) < miss(best)) best = share;
      }
    }
    return best;
  }
  [[nodiscard]] double fraction(bool as_reference) const {
    const double ratio = *options_.keep_ratio;
    if (options_.match_ratio) return matched_fraction();
    return as_reference || usable_ == static_cast<std::int64_t>(n_)
               ? ratio
               : std::min(1.0, ratio * static_cast<double>(n_) / static_cast<double>(usable_));
  }

  void diffprob() {
    std::vector<double> values;
    for (std::size_t i = 0; i < n_; ++i) values.push_back(value(i));
    const UsableSlots slots(scores_.labels, reasons_, scores_.source.num_classes);
    const SortedIdentities sorted(slots.identities(), std::span<const double>(slots.of(values)),
                                  ties_of(options_.diffprob.preset));
    DiffProbOptions options = options_.diffprob;
    if (options_.keep_ratio) {
      options.threshold =
          search_threshold(
              static_cast<std::int64_t>(target()), usable_,
              [&](std::span<const double> thresholds) {
                std::vector<std::int64_t> counts;
                for (const double t : thresholds)
                  counts.push_back(count_one(sorted, {t, options.floor, options.preset}));
                return counts;
              })
              .threshold;
    }
    slots.decide(reasons_,
                 [&](std::span<Reason> reasons) { select_diffprob(sorted, options, reasons); });
  }

  void deep_diffprob() {
    options_.diffprob.floor = options_.balanced.floor;
    options_.diffprob.floor.min_kept =
        std::max(options_.balanced.depth, options_.balanced.floor.min_kept);
    auto left = static_cast<std::int64_t>(target());
    for (const auto& [label, members] : members_) {
      const auto n = static_cast<std::int64_t>(members.size());
      left -= std::min(n, options_.diffprob.floor.of(n));
    }
    options_.method = left < 0 ? Method::kDeep : Method::kDiffProb;
    left < 0 ? balanced() : diffprob();
  }

  void keep_front(const std::vector<std::size_t>& order, double share, const Floor& floor) {
    const auto n = static_cast<std::int64_t>(order.size());
    const std::int64_t minimum = floor.of(n);
    const std::int64_t by_share =
        n <= minimum ? n : static_cast<std::int64_t>(static_cast<double>(n) * share);
    for (std::int64_t k = 0; k < n; ++k) {
      reasons_[order[static_cast<std::size_t>(k)]] = k < by_share  ? Reason::kKept
                                                     : k < minimum ? Reason::kKeptByFloor
                                                                   : Reason::kRedundant;
    }
  }

  void ranked() {
    const bool as_reference = options_.ranked.preset == Preset::kReference;
    for (auto& [label, order] : members_) {
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
        return as_reference ? value(a) < value(b) : value(a) > value(b);
      });
      if (as_reference) std::reverse(order.begin(), order.end());
      keep_front(order, fraction(as_reference), options_.ranked.floor);
    }
  }

  void random() {
    const bool tail = options_.random.draw == RandomOptions::Draw::kTail;
    RandomOptions options = options_.random;
    options.fraction = fraction(tail);
    if (!tail)
      return select_random_of(scores_.labels, {0, scores_.source.num_classes}, options, reasons_);
    for (auto& [label, order] : members_) {
      std::reverse(order.begin(), order.end());
      keep_front(order, options.fraction, options.floor);
    }
  }

  [[nodiscard]] std::vector<std::int32_t> largest_first() const {
    std::vector<std::int32_t> labels;
    for (const auto& [label, members] : members_) labels.push_back(label);
    std::stable_sort(labels.begin(), labels.end(), [&](std::int32_t a, std::int32_t b) {
      return members_.at(a).size() > members_.at(b).size();
    });
    return labels;
  }

  /// Takes the largest identities while each of them gets its depth from the target.
  void leave_out_small_identities() {
    auto left = static_cast<std::int64_t>(target());
    bool first = true, full = false;
    for (const std::int32_t label : largest_first()) {
      const auto n = static_cast<std::int64_t>(members_.at(label).size());
      left -= std::min(n, std::max(options_.balanced.depth, options_.balanced.floor.of(n)));
      full = full || (left < 0 && !first);
      first = false;
      if (!full) continue;
      for (const std::size_t i : members_.at(label)) reasons_[i] = Reason::kRedundant;
      members_.erase(label);
    }
  }

  /// The hardest samples of an identity, which balanced_easy takes last, the easiest of them first.
  std::vector<std::size_t> take_out_hard(std::vector<std::size_t>& members) const {
    std::vector<std::size_t> by_ease = members;
    std::stable_sort(by_ease.begin(), by_ease.end(), [&](std::size_t a, std::size_t b) {
      return scores_.records[a].nll < scores_.records[b].nll;
    });
    const double share = options_.balanced.easy_share * static_cast<double>(members.size());
    const auto easy = static_cast<std::ptrdiff_t>(std::max(1.0, std::round(share)));
    members.assign(by_ease.begin(), by_ease.begin() + easy);
    std::sort(members.begin(), members.end());
    return {by_ease.begin() + easy, by_ease.end()};
  }

  /// Tries every level; the largest identities get what is left of the target, one each.
  void balanced() {
    if (options_.method == Method::kDeep) leave_out_small_identities();
    const Floor& floor = options_.balanced.floor;
    const auto size = [&](std::int32_t label) {
      return static_cast<std::int64_t>(members_.at(label).size());
    };
    const auto missing = [&](std::int64_t level) {
      auto left = static_cast<std::int64_t>(target());
      for (const auto& [label, members] : members_)
        left -= std::min(size(label), std::max(level, floor.of(size(label))));
      return left;
    };
    std::int64_t level = 0;
    while (level < usable_ && missing(level + 1) >= 0) ++level;
    std::int64_t left = missing(level);
    for (const std::int32_t label : largest_first()) {
      const bool more = left > 0 && size(label) > level && floor.of(size(label)) <= level;
      left -= more ? 1 : 0;
      draw(label, level + (more ? 1 : 0), floor.of(size(label)), options_.balanced.seed);
    }
  }

  /// Draws `count` samples of an identity, and then more up to the floor; balanced_easy: the hard
  /// ones last.
  void draw(std::int32_t label, std::int64_t count, std::int64_t minimum, std::uint64_t seed) {
    std::vector<std::size_t> order = members_.at(label);
    std::vector<std::size_t> hard;
    if (options_.method == Method::kBalancedEasy) hard = take_out_hard(order);
    const std::size_t wanted = order.size() <= static_cast<std::size_t>(std::max(count, minimum))
                                   ? static_cast<std::size_t>(count)
                                   : static_cast<std::size_t>(std::max(count, minimum));
    IdentityStream stream(seed, label);
    for (std::size_t k = 0; wanted < order.size() && k < wanted; ++k)
      std::swap(order[k], order[k + stream.below(order.size() - k)]);
    order.insert(order.end(), hard.begin(), hard.end());
    for (std::size_t k = 0; k < order.size(); ++k) {
      const auto place = static_cast<std::int64_t>(k);
      reasons_[order[k]] = place < count     ? Reason::kKept
                           : place < minimum ? Reason::kKeptByFloor
                                             : Reason::kRedundant;
    }
  }

  void ccs() {
    struct Sample {
      std::size_t index;
      double hardness;
      std::uint64_t draw;
    };
    std::vector<Sample> order;  // by identity, then index
    for (const auto& [label, members] : members_) {
      for (std::size_t k = 0; k < members.size(); ++k) {
        order.push_back(
            {members[k], value(members[k]), IdentityStream(options_.ccs.seed, label).at(k)});
        reasons_[members[k]] = Reason::kRedundant;
      }
    }
    std::vector<Sample> easy = order;
    std::stable_sort(easy.begin(), easy.end(),
                     [](const Sample& a, const Sample& b) { return a.hardness < b.hardness; });
    easy.resize(easy.size() -
                static_cast<std::size_t>(static_cast<double>(easy.size()) * options_.ccs.beta));
    const double low = easy.front().hardness;
    const double high = easy.back().hardness;
    std::vector<std::vector<Sample>> strata(static_cast<std::size_t>(options_.ccs.strata));
    for (const Sample& sample : easy) {
      const double place =
          (sample.hardness - low) / (high - low) * static_cast<double>(strata.size());
      strata[std::min(static_cast<std::size_t>(place), strata.size() - 1)].push_back(sample);
    }
    std::stable_sort(strata.begin(), strata.end(),
                     [](const auto& a, const auto& b) { return a.size() < b.size(); });
    auto budget = static_cast<std::size_t>(target());
    for (std::size_t s = 0; s < strata.size(); ++s) {
      const std::size_t drawn = std::min(strata[s].size(), budget / (strata.size() - s));
      std::sort(strata[s].begin(), strata[s].end(),
                [](const Sample& a, const Sample& b) { return a.draw < b.draw; });
      for (std::size_t k = 0; k < drawn; ++k) reasons_[strata[s][k].index] = Reason::kKept;
      budget -= drawn;
    }
    std::set<std::size_t> not_too_hard;
    for (const Sample& sample : easy) not_too_hard.insert(sample.index);
    std::sort(order.begin(), order.end(), [&](const Sample& a, const Sample& b) {
      const bool hard_a = not_too_hard.count(a.index) == 0;
      const bool hard_b = not_too_hard.count(b.index) == 0;
      return hard_a != hard_b ? hard_b : a.draw < b.draw;
    });
    for (const auto& [label, members] : members_) {
      auto missing = options_.ccs.floor.of(static_cast<std::int64_t>(members.size()));
      for (const std::size_t i : members) missing -= is_kept(reasons_[i]);
      for (const Sample& sample : order) {
        if (missing <= 0 || scores_.labels[sample.index] != label ||
            is_kept(reasons_[sample.index]))
          continue;
        reasons_[sample.index] = Reason::kKeptByFloor;
        --missing;
      }
    }
  }

  const ScoreTable& scores_;
  const DynamicsTable& dynamics_;
  PruneOptions options_;
  std::size_t n_;
  std::vector<Reason> reasons_;
  std::int64_t usable_ = 0;
  std::vector<std::size_t> given_back_;                       // by the floor of cleaning
  std::map<std::int32_t, std::vector<std::size_t>> members_;  // usable ones
};

}  // namespace diffprob::prune::tests
