#include "prune/clean_rows.h"

#include <limits>
#include <utility>

#include "dist/mpi/agreement.h"
#include "prune/cleaning/evidence.h"
#include "prune/confusions.h"
#include "prune/error.h"

namespace diffprob::prune {
namespace {

/// Columns of a block. Those behind `nll` are filled only when the options read them.
struct Columns {
  std::vector<std::int32_t> top1;
  std::vector<float> nll, top1_log_prob;  // as they are, NaN where the file has none
  std::vector<float> checked_top1_log_prob, own_log_prob, second_log_prob;
};

class Cleaner {
 public:
  Cleaner(SampleRows& file, const CleanedRows& rows, const CleanOptions& options,
          dist::HostCollectives& collectives, const CleaningProgress& progress)
      : file_(file),
        rows_(rows),
        options_(options),
        collectives_(collectives),
        progress_(progress),
        estimates_noise_(file.can_estimate_noise()),
        thresholds_(reads_thresholds() ? file.source().num_classes : 0) {}

  Cleaning run() {
    if (reads_thresholds()) sum_thresholds();
    CleanOptions rule = options_;
    if (options_.precision > 0) rule.margin = 0;  // the margin is chosen among all that it finds
    if (is_of_cleanlab(options_.rule))
      found_.open_evidence = clean_by_evidence(file_, rows_, rule, thresholds_, collectives_).open;
    const ConfidentGuess guess(thresholds_);
    NoiseCounts noise(thresholds_.num_classes());
    MarginCounts all, suspects;
    const bool one_pass = options_.precision == 0 && options_.floor == 0;
    for_each_block([&](SampleRange block, std::size_t first) {
      read(block);
      mark(rule, first);
      if (estimates_noise_) count_noise(first, guess, noise);
      if (options_.precision > 0) count_margins(block, first, all, suspects);
      if (one_pass) note(block, first, guess);
    });
    if (estimates_noise_) {
      noise.finish(collectives_);
      found_.noise = noise.rate();
    }
    if (options_.precision > 0) choose(all, suspects);
    if (options_.floor > 0)
      found_.floor = keep_clean_floor(file_, rows_, options_.floor, collectives_);
    if (!one_pass) {
      for_each_block([&](SampleRange block, std::size_t first) {
        read(block);
        note(block, first, guess);
      });
    }
    found_.suspects = suspects_.take();
    return std::move(found_);
  }

 private:
  [[nodiscard]] bool reads_thresholds() const {
    return options_.rule != CleanRule::kMispredicted || estimates_noise_;
  }

  /// visit(block, place of its first row among this rank's rows), which must not be collective.
  void for_each_block(const std::function<void(SampleRange, std::size_t)>& visit) {
    dist::FirstProblem problem;
    problem.run([&] {
      for (std::int64_t round = 0; round < rows_.blocks.rounds(); ++round) {
        const SampleRange block = rows_.blocks.own(round);
        if (block.size() > 0)
          visit(block, static_cast<std::size_t>(rows_.blocks.own_offset(round)));
        if (progress_) progress_("read", round);
      }
      file_.throw_if_bad();
    });
    problem.throw_together<PruneError>(collectives_);
  }

  [[nodiscard]] std::span<const std::int32_t> labels_of(std::size_t first, std::size_t size) const {
    return rows_.labels.subspan(first, size);
  }

  void sum_thresholds() {
    std::vector<float> own_log_prob, top1_log_prob;
    for_each_block([&](SampleRange block, std::size_t first) {
      own_log_prob.resize(static_cast<std::size_t>(block.size()));
      top1_log_prob.resize(own_log_prob.size());
      if (options_.rule != CleanRule::kMispredicted)
        file_.read_log_probs(block.first, top1_log_prob, own_log_prob);
      else
        read_known(block, top1_log_prob, own_log_prob);
      thresholds_.add(labels_of(first, own_log_prob.size()), own_log_prob);
    });
    thresholds_.finish(collectives_);
  }

  /// The log-probabilities for the estimate alone: what is not a number counts as 0.
  void read_known(SampleRange block, std::vector<float>& top1_log_prob,
                  std::vector<float>& own_log_prob) const {
    file_.read_suspicion(block.first, own_log_prob, top1_log_prob);
    for (float& value : own_log_prob)
      value = value >= 0 ? -value : -std::numeric_limits<float>::infinity();
  }

  void read(SampleRange block) {
    const auto size = static_cast<std::size_t>(block.size());
    columns_.top1.resize(size);
    columns_.nll.resize(size);
    columns_.top1_log_prob.resize(size);
    file_.read_top1(block.first, columns_.top1);
    file_.read_suspicion(block.first, columns_.nll, columns_.top1_log_prob);
    if (!reads_log_probs(options_)) return;
    columns_.checked_top1_log_prob.resize(size);
    columns_.own_log_prob.resize(size);
    file_.read_log_probs(block.first, columns_.checked_top1_log_prob, columns_.own_log_prob);
  }

  void mark(const CleanOptions& rule, std::size_t first) {
    if (is_of_cleanlab(rule.rule)) return;  // marked already
    const std::size_t size = columns_.top1.size();
    clean({labels_of(first, size), columns_.top1, columns_.checked_top1_log_prob,
           columns_.own_log_prob},
          rule, thresholds_, rows_.reasons.subspan(first, size));
  }

  void count_noise(std::size_t first, const ConfidentGuess& guess, NoiseCounts& counts) const {
    constexpr float kUnknown = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < columns_.top1.size(); ++i) {
      const std::int32_t top1 = columns_.top1[i];
      const bool known =
          top1 >= 0 && top1 < guess.num_classes() && columns_.top1_log_prob[i] <= 1e-3F;
      if (known)
        counts.add(evidence_of(rows_.labels[first + i], top1, columns_.top1_log_prob[i], kUnknown,
                               kUnknown),
                   guess);
    }
  }

  void count_margins(SampleRange block, std::size_t first, MarginCounts& all,
                     MarginCounts& suspects) {
    columns_.second_log_prob.resize(columns_.top1.size());
    file_.read_second_log_prob(block.first, columns_.second_log_prob);
    for (std::size_t i = 0; i < columns_.top1.size(); ++i) {
      const bool agrees = columns_.top1[i] == rows_.labels[first + i];
      const float other = agrees ? columns_.second_log_prob[i] : columns_.checked_top1_log_prob[i];
      const double margin =
          static_cast<double>(other) - static_cast<double>(columns_.own_log_prob[i]);
      all.add(margin);
      if (rows_.reasons[first + i] == Reason::kMislabelled) suspects.add(margin);
    }
  }

  /// Rank 0 chooses, so that the mathematics of different processors cannot disagree.
  void choose(MarginCounts& all, MarginCounts& suspects) {
    all.finish(collectives_);
    suspects.finish(collectives_);
    std::int64_t bin = -1;
    const auto samples = static_cast<double>(rows_.blocks.samples());
    const double wrong = found_.noise->confident == 0 ? 0 : found_.noise->rate * samples;
    found_.precision = choose_margin(all, suspects, wrong, options_.precision);
    if (found_.precision->reached)
      bin = MarginCounts::bin_of(found_.precision->margin + 0.5 / MarginCounts::kPerNat);
    bin = collectives_.all_reduce(collectives_.rank() == 0 ? bin : 0, dist::ReduceOp::kSum);
    for_each_block([&](SampleRange block, std::size_t first) {
      read(block);
      for (std::size_t i = 0; i < columns_.top1.size(); ++i) {
        Reason& reason = rows_.reasons[first + i];
        const double margin = static_cast<double>(columns_.checked_top1_log_prob[i]) -
                              static_cast<double>(columns_.own_log_prob[i]);
        if (reason == Reason::kMislabelled && (bin < 0 || MarginCounts::bin_of(margin) < bin))
          reason = Reason::kKept;
      }
    });
  }

  /// The class of the prediction is confident, as far as the scores can tell.
  [[nodiscard]] bool is_confident(std::size_t i, const ConfidentGuess& guess) const {
    const std::int32_t top1 = columns_.top1[i];
    return estimates_noise_ && top1 >= 0 &&
           guess.top1_is_confident(evidence_of(0, top1, columns_.top1_log_prob[i], 0, 0));
  }

  void note(SampleRange block, std::size_t first, const ConfidentGuess& guess) {
    for (std::size_t i = 0; i < columns_.top1.size(); ++i) {
      const std::int32_t top1 = columns_.top1[i];
      const std::int32_t label = rows_.labels[first + i];
      if (top1 == label) continue;
      const Reason reason = rows_.reasons[first + i];
      const bool dropped = reason == Reason::kMislabelled;
      const bool found = dropped || reason == Reason::kKeptByFloor;
      if (top1 != kUnknownClass) found_.mispredicted.push_back(confusion_pair(label, top1));
      if (dropped && top1 != kUnknownClass) found_.pairs.push_back(confusion_pair(label, top1));
      suspects_.add({block.first + static_cast<std::int64_t>(i), label, top1, columns_.nll[i],
                     columns_.top1_log_prob[i],
                     dropped ? Suspect::Dropped::kYes : Suspect::Dropped::kNo,
                     found && is_confident(i, guess)});
    }
  }

  SampleRows& file_;
  const CleanedRows& rows_;
  const CleanOptions& options_;
  dist::HostCollectives& collectives_;
  const CleaningProgress& progress_;
  bool estimates_noise_;
  ClassThresholds thresholds_;
  Columns columns_;
  Suspects suspects_;
  Cleaning found_;
};

}  // namespace

Cleaning clean_rows(SampleRows& file, const CleanedRows& rows, const CleanOptions& options,
                    dist::HostCollectives& collectives, const CleaningProgress& progress) {
  return Cleaner(file, rows, options, collectives, progress).run();
}

}  // namespace diffprob::prune
