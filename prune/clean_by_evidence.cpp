#include "prune/clean_by_evidence.h"

#include <functional>

#include "dist/mpi/agreement.h"
#include "prune/cleaning/class_issues.h"
#include "prune/cleaning/lowest.h"
#include "prune/error.h"
#include "prune/identity_exchange.h"

namespace diffprob::prune {
namespace {

/// The columns of a block.
struct Block {
  std::vector<std::int32_t> top1;
  std::vector<float> top1_log_prob, second_log_prob, own_log_prob;
};

class Finder {
 public:
  Finder(SampleRows& file, const CleanedRows& rows, const CleanOptions& options,
         const ClassThresholds& thresholds, dist::HostCollectives& collectives)
      : rows_(file),
        blocks_(rows.blocks),
        labels_(rows.labels),
        options_(options),
        thresholds_(thresholds),
        guess_(thresholds),
        collectives_(collectives),
        reasons_(rows.reasons) {}

  FoundIssues run() {
    switch (options_.rule) {
      case CleanRule::kLowSelfConfidence:
      case CleanRule::kLowNormalizedMargin:
        find_lowest();
        break;
      case CleanRule::kPruneByClass:
      case CleanRule::kPruneByNoiseRateTop1:
      case CleanRule::kBothTop1:
        find_by_class();
        break;
      default:
        for_each_row([&](std::size_t row, const Evidence& evidence) {
          if (options_.rule == CleanRule::kConfidentLearning && !is_confidently_other(evidence))
            return;
          reasons_[row] = Reason::kMislabelled;
        });
    }
    keep_what_agrees();
    return {collectives_.all_reduce(open_, dist::ReduceOp::kSum)};
  }

 private:
  [[nodiscard]] bool is_confidently_other(const Evidence& evidence) {
    const auto guess = guess_(evidence);
    if (guess.open && contradicts(evidence)) ++open_;
    return guess.of != ConfidentGuess::kNone && guess.of != evidence.label;
  }

  void read(std::int64_t round) {
    const SampleRange block = blocks_.own(round);
    const auto size = static_cast<std::size_t>(block.size());
    block_.top1.resize(size);
    for (auto* column : {&block_.top1_log_prob, &block_.second_log_prob, &block_.own_log_prob})
      column->resize(size);
    rows_.read_top1(block.first, block_.top1);
    rows_.read_log_probs(block.first, block_.top1_log_prob, block_.own_log_prob);
    rows_.read_second_log_prob(block.first, block_.second_log_prob);
    rows_.throw_if_bad();  // before a class is taken for an index
  }
  [[nodiscard]] Evidence evidence(std::size_t row, std::size_t i) const {
    return evidence_of(labels_[row], block_.top1[i], block_.top1_log_prob[i],
                       block_.second_log_prob[i], block_.own_log_prob[i]);
  }

  void for_each_row(const std::function<void(std::size_t, const Evidence&)>& visit) {
    dist::FirstProblem problem;
    problem.run([&] {
      for (std::int64_t round = 0; round < blocks_.rounds(); ++round) {
        read(round);
        const auto first = static_cast<std::size_t>(blocks_.own_offset(round));
        for (std::size_t i = 0; i < block_.top1.size(); ++i)
          visit(first + i, evidence(first + i, i));
      }
    });
    problem.throw_together<PruneError>(collectives_);
  }

  /// As many of the lowest label qualities as samples are confidently of another class.
  void find_lowest() {
    std::vector<double> quality(labels_.size());
    std::int64_t count = 0;
    for_each_row([&](std::size_t row, const Evidence& evidence) {
      quality[row] = options_.rule == CleanRule::kLowSelfConfidence ? evidence.own_probability
                                                                    : normalized_margin(evidence);
      count += guess_.counts_in_batched_form(evidence) ? 1 : 0;
    });
    std::vector<std::int64_t> indices(labels_.size());
    for (std::int64_t round = 0; round < blocks_.rounds(); ++round) {
      const SampleRange block = blocks_.own(round);
      for (std::int64_t i = block.first; i < block.last; ++i)
        indices[static_cast<std::size_t>(blocks_.own_offset(round) + i - block.first)] = i;
    }
    count = collectives_.all_reduce(count, dist::ReduceOp::kSum);
    const std::vector<bool> lowest = lowest_of_all(quality, indices, count, collectives_);
    for (std::size_t row = 0; row < lowest.size(); ++row)
      if (lowest[row]) reasons_[row] = Reason::kMislabelled;
  }

  /// Every class is decided by the rank that owns it.
  void find_by_class() {
    IdentityCounts counts(thresholds_.num_classes());
    for (const std::int32_t label : labels_) counts.add(label, true);
    counts.sum(collectives_);
    IdentityExchange exchange(counts, blocks_, collectives_);
    std::vector<ClassSample> arrived(static_cast<std::size_t>(exchange.slots().slots()));
    dist::FirstProblem problem;
    std::vector<ClassSample> sent;
    for (std::int64_t round = 0; round < blocks_.rounds(); ++round) {
      sent.assign(static_cast<std::size_t>(blocks_.own(round).size()), {});
      const auto first = sent.empty() ? 0 : static_cast<std::size_t>(blocks_.own_offset(round));
      problem.run([&] {
        read(round);
        for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = sample(first + i, i);
      });
      exchange.send(labels_.subspan(first, sent.size()), std::span<const ClassSample>(sent),
                    std::span<const Reason>(reasons_).subspan(first, sent.size()), arrived);
    }
    problem.throw_together<PruneError>(collectives_);
    const IdentitySlots slots = exchange.slots();
    std::vector<Reason> decided(arrived.size(), Reason::kKept);
    for (std::int64_t c = 0; c < slots.identities(); ++c) {
      const auto begin = static_cast<std::size_t>(slots.begin[static_cast<std::size_t>(c)]);
      const auto size = static_cast<std::size_t>(slots.size(c));
      mark_class_issues(static_cast<std::int32_t>(slots.first + c),
                        std::span<const ClassSample>(arrived).subspan(begin, size), options_.rule,
                        std::span(decided).subspan(begin, size));
    }
    exchange.send_back(decided, labels_, reasons_);
  }
  [[nodiscard]] ClassSample sample(std::size_t row, std::size_t i) {
    const auto guess = guess_(evidence(row, i));
    open_ += guess.open ? 1 : 0;
    return {block_.own_log_prob[i], block_.top1_log_prob[i], block_.top1[i], guess.of};
  }

  /// Nothing is an issue whose label is, within the slack, the prediction, or within the margin.
  void keep_what_agrees() {
    for_each_row([&](std::size_t row, const Evidence& evidence) {
      if (!contradicts(evidence)) reasons_[row] = Reason::kKept;
    });
    if (options_.margin <= 0) return;
    dist::FirstProblem problem;
    problem.run([&] {
      for (std::int64_t round = 0; round < blocks_.rounds(); ++round) {
        read(round);
        for (std::size_t i = 0; i < block_.top1.size(); ++i) {
          const double excess = static_cast<double>(block_.top1_log_prob[i]) -
                                static_cast<double>(block_.own_log_prob[i]);
          if (!(excess > options_.margin))
            reasons_[static_cast<std::size_t>(blocks_.own_offset(round)) + i] = Reason::kKept;
        }
      }
    });
    problem.throw_together<PruneError>(collectives_);
  }

  SampleRows& rows_;
  const RowBlocks& blocks_;
  std::span<const std::int32_t> labels_;
  const CleanOptions& options_;
  const ClassThresholds& thresholds_;
  ConfidentGuess guess_;
  dist::HostCollectives& collectives_;
  std::span<Reason> reasons_;
  Block block_;
  std::int64_t open_ = 0;
};

}  // namespace

FoundIssues clean_by_evidence(SampleRows& file, const CleanedRows& rows,
                              const CleanOptions& options, const ClassThresholds& thresholds,
                              dist::HostCollectives& collectives) {
  return Finder(file, rows, options, thresholds, collectives).run();
}

}  // namespace diffprob::prune
