#include "prune/prune.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "prune/agreement.h"
#include "prune/cleaning.h"
#include "prune/error.h"
#include "prune/score_file.h"
#include "prune/sorted_identities.h"

namespace diffprob::prune {
namespace {

void check_options(const PruneOptions& options) {
  if (options.method != "diffprob" && options.method != "random" && options.method != "none") {
    throw PruneError("prune: unknown method '" + options.method + "', expected diffprob, random or none");
  }
  if (options.keep_ratio && !(*options.keep_ratio > 0 && *options.keep_ratio <= 1)) {
    throw PruneError("prune: keep_ratio is " + std::to_string(*options.keep_ratio) + ", expected above 0 and at most 1");
  }
  if (options.keep_ratio && options.method == "none") {
    throw PruneError("prune: method none (cleaning alone) has no keep_ratio");
  }
  if (options.method == "diffprob") check(options.diffprob);
}

/// One pruning from table to reasons, on one rank of many.
class Pruning {
 public:
  Pruning(const ScoreTable& table, const PruneOptions& options, dist::HostCollectives& collectives)
      : table_(table),
        collectives_(collectives),
        groups_(table.labels, table.source.num_classes),
        range_(identities_of_rank(groups_, collectives.rank(), collectives.world_size())),
        reasons_(table.records.size(), Reason::kKept) {
    result_.options = options;
  }

  PruneResult run() {
    if (result_.options.clean) clean();
    result_.usable = std::count_if(reasons_.begin(), reasons_.end(), is_kept);
    if (result_.usable == 0) {
      throw PruneError("prune: no sample is left: " + std::to_string(reasons_.size()) + " samples, all cleaned away as mislabelled");
    }
    if (result_.options.method == "diffprob") diffprob();
    if (result_.options.method == "random") random();
    if (result_.options.method != "none") exchange();
    finish();
    return std::move(result_);
  }

 private:
  void clean() {
    std::vector<std::int32_t> top1(table_.records.size());
    for (std::size_t i = 0; i < top1.size(); ++i) top1[i] = table_.records[i].top1;
    clean_mispredicted(top1, table_.labels, reasons_);
  }

  [[nodiscard]] SortedIdentities sort_own_identities() const {
    const Preset preset = result_.options.diffprob.preset;
    return {groups_, range_, reasons_, preset, [&](std::uint32_t sample) {
              const ScoreRecord& record = table_.records[sample];
              return preset == Preset::kReference ? score_from_probability(record.probability, sample) : score_from_nll(record.nll, sample);
            }};
  }

  void diffprob() {
    DiffProbOptions& options = result_.options.diffprob;
    const SortedIdentities sorted = sort_own_identities();
    if (result_.options.keep_ratio) {
      const auto count_kept = [&](double threshold) {
        DiffProbOptions tried = options;
        tried.threshold = threshold;
        return collectives_.all_reduce(sorted.count_kept(tried), dist::ReduceOp::kSum);
      };
      result_.search = search_threshold(target(), result_.usable, count_kept);
      options.threshold = result_.search->threshold;
    }
    sorted.select(options, reasons_);
    result_.index_set.threshold = options.threshold;
  }

  /// Wanted number of samples; not more than cleaning left.
  [[nodiscard]] std::int64_t target() const {
    const auto wanted = static_cast<std::int64_t>(std::llround(*result_.options.keep_ratio * static_cast<double>(reasons_.size())));
    return std::clamp<std::int64_t>(wanted, 1, result_.usable);
  }

  void random() {
    RandomOptions& options = result_.options.random;
    if (result_.options.keep_ratio) {
      options.fraction =
          std::min(1.0, *result_.options.keep_ratio * static_cast<double>(reasons_.size()) / static_cast<double>(result_.usable));
    }
    together(collectives_, [&] { select_random(groups_, range_, options, reasons_); });
  }

  /// Own identities' reasons -> everybody's. Ranges follow each other in rank order, so the gathered reasons are in group order.
  void exchange() {
    const auto own_begin = groups_.begin[range_.first];
    const auto own_end = groups_.begin[range_.last];
    std::vector<Reason> own;
    own.reserve(static_cast<std::size_t>(own_end - own_begin));
    for (auto at = own_begin; at < own_end; ++at) own.push_back(reasons_[groups_.order[static_cast<std::size_t>(at)]]);
    const auto all = collectives_.all_gather_v(std::span<const Reason>(own));
    for (std::size_t at = 0; at < all.size(); ++at) reasons_[groups_.order[at]] = all[at];
  }

  void finish() {
    const double threshold = result_.index_set.threshold;
    result_.index_set = make_index_set({std::move(reasons_)}, table_.labels, groups_.num_classes());
    result_.index_set.threshold = threshold;
    result_.index_set.dataset_fingerprint = table_.source.dataset_fingerprint;
    result_.index_set.method = method_name();
    for (const Reason reason : result_.index_set.reasons) {
      result_.mislabelled += reason == Reason::kMislabelled ? 1 : 0;
      result_.redundant += reason == Reason::kRedundant ? 1 : 0;
      result_.kept_by_floor += reason == Reason::kKeptByFloor ? 1 : 0;
    }
    for (std::int64_t c = 0; c < groups_.num_classes(); ++c) {
      if (groups_.samples(c).empty()) continue;
      ++result_.identities_before;
      if (result_.index_set.label_map[static_cast<std::size_t>(c)] >= 0) {
        ++result_.identities_after;
      } else {
        result_.vanished.push_back(c);
      }
    }
  }

  [[nodiscard]] std::string method_name() const {
    if (!result_.options.clean) return result_.options.method;
    return result_.options.method == "none" ? "clean" : "clean+" + result_.options.method;
  }

  const ScoreTable& table_;
  dist::HostCollectives& collectives_;
  IdentityGroups groups_;
  IdentityRange range_;
  std::vector<Reason> reasons_;  // [N]
  PruneResult result_;
};

/// The exchange pairs positions: tables of different size or grouping on the ranks would give nonsense.
void check_same_table(const ScoreTable& table, dist::HostCollectives& collectives) {
  std::uint64_t digest = 0xcbf29ce484222325U;  // FNV-1a over labels
  for (const std::int32_t label : table.labels) digest = (digest ^ static_cast<std::uint32_t>(label)) * 0x100000001b3U;
  const auto digests = collectives.all_gather(digest);
  for (std::size_t rank = 1; rank < digests.size(); ++rank) {
    if (digests[rank] != digests[0]) throw PruneError("prune: the labels of rank " + std::to_string(rank) + " differ from those of rank 0");
  }
}

}  // namespace

PruneResult prune(const ScoreTable& table, const PruneOptions& options, dist::HostCollectives& collectives) {
  together(collectives, [&] {
    check_options(options);
    check_table("prune: score table", table);
  });
  check_same_table(table, collectives);
  return Pruning(table, options, collectives).run();
}

}  // namespace diffprob::prune
