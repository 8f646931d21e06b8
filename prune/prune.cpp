#include "prune/prune.h"

#include <algorithm>

#include "data/dense_labels.h"
#include "dist/mpi/agreement.h"
#include "prune/clean_rows.h"
#include "prune/confusions.h"
#include "prune/error.h"
#include "prune/identity_exchange.h"
#include "prune/methods/methods.h"
#include "prune/methods/row.h"
#include "prune/sample_rows.h"

namespace diffprob::prune {
namespace {

static_assert(RowBlocks::kRows == static_cast<std::int64_t>(kHdfChunkElements),
              "blocks are chunks, so that no chunk is read twice");

/// One pruning from files to reasons, on one rank of many.
class Pruning {
 public:
  Pruning(SampleRows& rows, const PruneOptions& options, dist::HostCollectives& collectives,
          const PruneWork& work)
      : rows_(rows),
        collectives_(collectives),
        work_(work),
        blocks_(rows.num_samples(), work.block_rows, collectives.rank(), collectives.world_size()),
        labels_(static_cast<std::size_t>(blocks_.own_rows())),
        reasons_(labels_.size(), Reason::kKept) {
    result_.options = options;
    result_.source = rows.source();
    result_.num_samples = rows.num_samples();
    result_.blocks = blocks_;
  }

  PruneResult run() {
    seconds_.time("read", [&] { read_and_clean(); });
    seconds_.time("count", [&] { count_samples(); });
    const MethodRow& method = row_of(result_.options.method);
    if (method.select == nullptr) {
      decide_by_cleaning_alone();
    } else {
      IdentityExchange exchange(result_.counts, blocks_, collectives_);
      bring_to_owners(exchange);
      std::vector<Reason> decided(static_cast<std::size_t>(exchange.slots().slots()),
                                  Reason::kKept);
      select(method, exchange.slots(), decided);
      count_decided(exchange, decided);
      seconds_.time("return", [&] { exchange.send_back(decided, labels_, reasons_); });
      count_given_back();
    }
    labels_ = {};
    seconds_.time("confusions", [&] {
      constexpr std::size_t kListed = 100;
      result_.confusions =
          most_frequent_confusions(std::move(cleaning_.pairs), kListed, collectives_);
    });
    result_.fairness = fairness_of(result_.counts, result_.own_identities.first,
                                   result_.kept_of_own, collectives_);
    result_.own_reasons = std::move(reasons_);
    result_.own_suspects = std::move(cleaning_.suspects);
    result_.own_mispredicted = std::move(cleaning_.mispredicted);
    result_.seconds = seconds_.all();
    return std::move(result_);
  }

 private:
  void report(std::string_view step, std::int64_t round) const {
    if (work_.progress) work_.progress(step, round + 1, blocks_.rounds());
  }

  [[nodiscard]] std::size_t offset(std::int64_t round) const {
    return static_cast<std::size_t>(blocks_.own_offset(round));
  }
  template <class T>
  [[nodiscard]] std::span<T> of_round(std::vector<T>& rows, std::int64_t round) const {
    const auto size = static_cast<std::size_t>(blocks_.own(round).size());
    return size == 0 ? std::span<T>() : std::span<T>(rows).subspan(offset(round), size);
  }

  void read_and_clean() {
    dist::FirstProblem problem;
    problem.run([&] {
      for (std::int64_t round = 0; round < blocks_.rounds(); ++round)
        rows_.read_labels(blocks_.own(round).first, of_round(labels_, round));
    });
    problem.throw_together<PruneError>(collectives_);
    if (!result_.options.clean) return;
    cleaning_ =
        clean_rows(rows_, {blocks_, labels_, reasons_}, result_.options.cleaning, collectives_,
                   [&](std::string_view step, std::int64_t round) { report(step, round); });
    result_.noise = cleaning_.noise;
    result_.open_evidence = cleaning_.open_evidence;
    result_.precision = cleaning_.precision;
    result_.clean_floor = cleaning_.floor;
    for (std::size_t i = 0; i < reasons_.size(); ++i)
      if (reasons_[i] == Reason::kKeptByFloor) given_back_.push_back(i);
  }

  void count_samples() {
    result_.counts = IdentityCounts(result_.source.num_classes);
    for (std::size_t i = 0; i < labels_.size(); ++i)
      result_.counts.add(labels_[i], is_kept(reasons_[i]));
    result_.counts.sum(collectives_);
    for (std::int64_t c = 0; c < result_.counts.num_classes(); ++c) {
      result_.usable += result_.counts.usable(c);
      result_.identities_before += result_.counts.before(c) > 0 ? 1 : 0;
      if (result_.counts.before(c) > 0 && result_.counts.usable(c) == 0)
        result_.vanished.push_back(c);
    }
    result_.identities_after =
        result_.identities_before - static_cast<std::int64_t>(result_.vanished.size());
    result_.mislabelled = result_.num_samples - result_.usable;
    if (result_.usable == 0) {
      throw PruneError("prune: no sample is left: " + std::to_string(result_.num_samples) +
                       " samples were all removed as mislabelled");
    }
  }

  /// Selection has decided anew about the samples that the floor of cleaning gave back: those that
  /// it keeps are kept by a floor.
  void count_given_back() {
    std::int64_t kept = 0;
    for (const std::size_t row : given_back_) {
      if (reasons_[row] != Reason::kKept) continue;
      reasons_[row] = Reason::kKeptByFloor;
      ++kept;
    }
    if (result_.clean_floor)
      result_.kept_by_floor += collectives_.all_reduce(kept, dist::ReduceOp::kSum);
  }

  void decide_by_cleaning_alone() {
    result_.kept = result_.usable;
    if (result_.clean_floor) result_.kept_by_floor = result_.clean_floor->samples;
    std::vector<std::int64_t> before(static_cast<std::size_t>(result_.counts.num_classes()) + 1, 0);
    for (std::size_t c = 1; c < before.size(); ++c)
      before[c] = before[c - 1] + result_.counts.usable(static_cast<std::int64_t>(c) - 1);
    result_.own_identities =
        identities_of_rank(before, collectives_.rank(), collectives_.world_size());
    for (std::int64_t c = result_.own_identities.first; c < result_.own_identities.last; ++c) {
      result_.kept_of_own.push_back(static_cast<std::int32_t>(result_.counts.usable(c)));
    }
  }

  void bring_to_owners(IdentityExchange& exchange) {
    const auto slots = static_cast<std::size_t>(exchange.slots().slots());
    const auto type = rows_.key_type();
    keys_.floats.resize(type == SampleRows::KeyType::kFloat ? slots : 0);
    keys_.doubles.resize(type == SampleRows::KeyType::kDouble ? slots : 0);
    keys_.are_nll = rows_.keys_are_nll();
    if (type == SampleRows::KeyType::kDouble) {
      bring_keys(exchange, keys_.doubles, true);
    } else {
      bring_keys(exchange, keys_.floats, type == SampleRows::KeyType::kFloat);
    }
  }

  template <class K>
  void bring_keys(IdentityExchange& exchange, std::vector<K>& arrived, bool with_keys) {
    dist::FirstProblem problem;
    std::vector<K> keys;
    for (std::int64_t round = 0; round < blocks_.rounds(); ++round) {
      keys.resize(with_keys ? static_cast<std::size_t>(blocks_.own(round).size()) : 0);
      problem.run([&] {
        if (with_keys)
          seconds_.time("read",
                        [&] { rows_.read_keys(blocks_.own(round).first, std::span(keys)); });
      });
      seconds_.time("exchange", [&] {
        exchange.send(of_round(labels_, round), std::span<const K>(keys), of_round(reasons_, round),
                      arrived);
      });
      report("exchange", round);
    }
    problem.run([&] { rows_.throw_if_bad(); });
    problem.throw_together<PruneError>(collectives_);
  }

  void select(const MethodRow& method, const IdentitySlots& slots, std::span<Reason> decided) {
    Selecting selecting{
        result_.options,  result_.counts, result_.num_samples, result_.usable, slots,
        std::move(keys_), decided,        collectives_,        seconds_,       result_.search};
    method.select(selecting);
  }

  void count_decided(const IdentityExchange& exchange, std::span<const Reason> decided) {
    const IdentitySlots slots = exchange.slots();
    const Floor& floor = floor_of(result_.options);
    std::int64_t sums[3] = {0, 0, 0};  // kept, by the floor, identities at the floor
    std::vector<std::int64_t> left_out;
    for (std::int64_t c = 0; c < slots.identities(); ++c) {
      std::int32_t kept = 0;
      std::int64_t by_floor = 0;
      for (std::int64_t slot = slots.begin[static_cast<std::size_t>(c)];
           slot < slots.begin[static_cast<std::size_t>(c) + 1]; ++slot) {
        kept += is_kept(decided[static_cast<std::size_t>(slot)]) ? 1 : 0;
        by_floor += decided[static_cast<std::size_t>(slot)] == Reason::kKeptByFloor ? 1 : 0;
      }
      result_.kept_of_own.push_back(kept);
      sums[0] += kept;
      sums[1] += by_floor;
      const std::int64_t n =
          slots.begin[static_cast<std::size_t>(c) + 1] - slots.begin[static_cast<std::size_t>(c)];
      if (kept == 0) {
        if (n > 0) left_out.push_back(slots.first + c);
        continue;
      }
      const std::int64_t least = floor.of(n);
      // Methods leave identities that are not above the floor as they are.
      sums[2] += by_floor > 0 || (least > 1 && n <= least) ? 1 : 0;
    }
    collectives_.all_reduce(std::span<std::int64_t>(sums), dist::ReduceOp::kSum);
    take_out(left_out);
    result_.own_identities = exchange.range();
    result_.kept = sums[0];
    result_.kept_by_floor = sums[1];
    result_.identities_at_floor = sums[2];
    result_.redundant = result_.usable - result_.kept;
  }

  /// Identities of this rank of which the method keeps nothing.
  void take_out(const std::vector<std::int64_t>& left_out) {
    const auto of_all = collectives_.all_gather_v(std::span<const std::int64_t>(left_out));
    result_.identities_after -= static_cast<std::int64_t>(of_all.size());
    std::vector<std::int64_t>& vanished = result_.vanished;
    const auto cleaned = static_cast<std::ptrdiff_t>(vanished.size());
    vanished.insert(vanished.end(), of_all.begin(), of_all.end());
    std::inplace_merge(vanished.begin(), vanished.begin() + cleaned, vanished.end());
  }

  SampleRows& rows_;
  dist::HostCollectives& collectives_;
  const PruneWork& work_;
  RowBlocks blocks_;
  std::vector<std::int32_t> labels_;     // [own rows]
  std::vector<Reason> reasons_;          // [own rows]
  std::vector<std::size_t> given_back_;  // own rows that the floor of cleaning kept
  Cleaning cleaning_;
  SlotKeys keys_;
  StepSeconds seconds_;
  PruneResult result_;
};

}  // namespace

std::vector<std::int64_t> PruneResult::label_map() const {
  data::DenseLabels dense(counts.num_classes());
  auto gone = vanished.begin();
  for (std::int64_t c = 0; c < counts.num_classes(); ++c) {
    const bool vanishes = gone != vanished.end() && *gone == c;
    if (vanishes) ++gone;
    if (!vanishes && counts.usable(c) > 0) dense.keep(c);
  }
  return std::move(dense).map();
}

PruneResult prune(const PruneFiles& files, const PruneOptions& options,
                  dist::HostCollectives& collectives, const PruneWork& work) {
  std::optional<SampleRows> rows;
  dist::together<PruneError>(collectives, [&] {
    check(options);
    rows.emplace(files, options);
    if (work.block_rows < 1)
      throw PruneError("prune: blocks of " + std::to_string(work.block_rows) +
                       " rows, expected at least 1");
  });
  const auto identity = [&] {
    const ScoreSource& source = rows->source();
    return std::to_string(rows->num_samples()) + " samples, " + std::to_string(source.num_classes) +
           " identities, data set '" + source.dataset_fingerprint + "', model '" +
           source.model_fingerprint + "'";
  };
  const std::string of_root = collectives.broadcast(identity(), 0);
  dist::together<PruneError>(collectives, [&] {
    if (identity() == of_root) return;
    throw PruneError("prune: rank " + std::to_string(collectives.rank()) +
                     " reads a different file (" + identity() + ") from rank 0 (" + of_root +
                     "); every node needs the same copy");
  });
  return Pruning(*rows, options, collectives, work).run();
}

}  // namespace diffprob::prune
