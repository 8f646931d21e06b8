#include "prune/clean_floor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "dist/mpi/agreement.h"
#include "prune/error.h"
#include "prune/identity_exchange.h"

namespace diffprob::prune {
namespace {

IdentityCounts counts_of(const CleanedRows& rows, std::int64_t classes,
                         dist::HostCollectives& collectives) {
  IdentityCounts counts(classes);
  for (std::size_t i = 0; i < rows.labels.size(); ++i)
    counts.add(rows.labels[i], is_kept(rows.reasons[i]));
  counts.sum(collectives);
  return counts;
}

/// -log p of the label of this rank's rows of a round; what is unknown is infinite.
void read_suspicion_of(const SampleRows& file, SampleRange block, std::vector<double>& suspicion) {
  std::vector<float> nll(static_cast<std::size_t>(block.size()));
  std::vector<float> unused(nll.size());
  file.read_suspicion(block.first, nll, unused);
  suspicion.resize(nll.size());
  std::transform(nll.begin(), nll.end(), suspicion.begin(), [](float value) {
    return std::isnan(value) ? std::numeric_limits<double>::infinity() : static_cast<double>(value);
  });
}

/// Marks the `missing` least suspicious of an identity's dropped samples.
void give_back(std::span<const double> suspicion, std::int64_t missing, std::span<Reason> decided) {
  std::vector<std::size_t> order(suspicion.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return suspicion[a] < suspicion[b]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(missing)));
  for (const std::size_t i : order) decided[i] = Reason::kKeptByFloor;
}

}  // namespace

FloorKept keep_clean_floor(const SampleRows& file, const CleanedRows& rows, std::int64_t floor,
                           dist::HostCollectives& collectives) {
  const std::int64_t classes = file.source().num_classes;
  const IdentityCounts counts = counts_of(rows, classes, collectives);
  const auto missing = [&](std::int64_t c) {
    return std::min(floor, counts.before(c)) - counts.usable(c);
  };
  // Only what may come back travels: for the exchange, it is what is usable.
  std::vector<Reason> returned(rows.reasons.size(), Reason::kMislabelled);
  IdentityCounts candidates(classes);
  for (std::size_t i = 0; i < returned.size(); ++i) {
    if (rows.reasons[i] == Reason::kMislabelled && missing(rows.labels[i]) > 0)
      returned[i] = Reason::kKept;
    candidates.add(rows.labels[i], is_kept(returned[i]));
  }
  candidates.sum(collectives);
  IdentityExchange exchange(candidates, rows.blocks, collectives);
  std::vector<double> arrived(static_cast<std::size_t>(exchange.slots().slots()));
  dist::FirstProblem problem;
  std::vector<double> suspicion;
  for (std::int64_t round = 0; round < rows.blocks.rounds(); ++round) {
    const SampleRange block = rows.blocks.own(round);
    suspicion.assign(static_cast<std::size_t>(block.size()), 0);
    const auto first =
        suspicion.empty() ? 0 : static_cast<std::size_t>(rows.blocks.own_offset(round));
    problem.run([&] { read_suspicion_of(file, block, suspicion); });
    exchange.send(rows.labels.subspan(first, suspicion.size()), std::span<const double>(suspicion),
                  std::span<const Reason>(returned).subspan(first, suspicion.size()), arrived);
  }
  problem.throw_together<PruneError>(collectives);
  const IdentitySlots slots = exchange.slots();
  std::vector<Reason> decided(arrived.size(), Reason::kMislabelled);
  std::int64_t kept[2] = {0, 0};  // samples, identities
  for (std::int64_t c = 0; c < slots.identities(); ++c) {
    const std::int64_t wanted = missing(slots.first + c);
    if (wanted <= 0 || slots.size(c) == 0) continue;
    const auto begin = static_cast<std::size_t>(slots.begin[static_cast<std::size_t>(c)]);
    const auto size = static_cast<std::size_t>(slots.size(c));
    give_back(std::span<const double>(arrived).subspan(begin, size), wanted,
              std::span(decided).subspan(begin, size));
    kept[0] += std::min(wanted, slots.size(c));
    kept[1] += 1;
  }
  exchange.send_back(decided, rows.labels, returned);
  for (std::size_t i = 0; i < returned.size(); ++i)
    if (returned[i] == Reason::kKeptByFloor) rows.reasons[i] = Reason::kKeptByFloor;
  collectives.all_reduce(std::span<std::int64_t>(kept), dist::ReduceOp::kSum);
  return {kept[0], kept[1]};
}

}  // namespace diffprob::prune
