#include "eval/neighbours/neighbours.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "data/error.h"
#include "eval/neighbours/centre_search.h"
#include "eval/neighbours/identity_pass.h"
#include "eval/neighbours/identity_rows.h"
#include "eval/neighbours/sample_search.h"

namespace diffprob::eval {
namespace {

constexpr std::int64_t kStrays = 32768;  // of a rank, searched at once

void check_options(const NeighbourOptions& options) {
  for (const auto& [name, value] :
       {std::pair("near", options.near), {"across", options.across}, {"centre", options.centre}}) {
    if (!(value > 0 && value <= 1))
      throw data::DataError("neighbours: the least cosine \"" + std::string(name) + "\" is " +
                            std::to_string(value) + ", expected above 0 and at most 1");
  }
  if (!(options.stray >= 0 && options.stray <= 1))
    throw data::DataError("neighbours: the cosine \"stray\" is " + std::to_string(options.stray) +
                          ", expected 0 to 1");
}

enum class Inside : bool { kSkip, kCompare };
enum class Strays : bool { kSkip, kList };

/// A set after the first pass over it.
class PassedSet {
 public:
  PassedSet(const EmbeddedSet& set, const NeighbourOptions& options, Inside inside, Strays strays,
            dist::HostCollectives& control)
      : set_(set) {
    dist::together<data::DataError>(control, [&] {
      check_options(options);
      rows_.emplace(set);
      shares_ = shares_of_ranks(*rows_, control.world_size());
    });
    IdentityPassOptions pass;
    pass.threads = options.threads;
    if (inside == Inside::kCompare) pass.near = options.near;
    if (strays == Strays::kList && options.stray > 0) pass.stray = options.stray;
    share = pass_over_identities(set, *rows_, shares_, pass, options.progress, control);
  }
  [[nodiscard]] IndexedSet indexed() const { return {set_, *rows_}; }
  [[nodiscard]] SharedCentres centres() const { return {share.centres, shares_}; }

  IdentityShare share;

 private:
  const EmbeddedSet& set_;
  std::optional<IdentityRows> rows_;
  std::vector<std::int64_t> shares_;
};

void append(std::vector<NeighbourPair>& to, const std::vector<NeighbourPair>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// Pairs of this rank's strays of `from` and rows of identities of `in`, which may be the same set.
std::vector<NeighbourPair> pairs_of_strays(const PassedSet& from, const PassedSet& in,
                                           const NeighbourOptions& options,
                                           dist::HostCollectives& control) {
  std::vector<NeighbourPair> found;
  const auto& strays = from.share.strays;
  const auto own = static_cast<std::int64_t>(strays.size());
  const std::int64_t most = control.all_reduce(own, dist::ReduceOp::kMax);
  const IndexedSet set = from.indexed();
  UnitRowReader reader(set.set, set.rows, options.threads);
  for (std::int64_t first = 0; first < most; first += kStrays) {
    const std::vector<Stray> some(strays.begin() + std::min(own, first),
                                  strays.begin() + std::min(own, first + kStrays));
    UnitRows unit;
    dist::together<data::DataError>(control, [&] {
      std::vector<std::int64_t> rows;
      for (const Stray& stray : some) rows.push_back(stray.row);
      unit = reader.read_rows(rows);
    });
    auto near = near_to_centres(unit, in.centres(),
                                {options.stray, options.threads, options.progress}, control);
    if (&from == &in)
      std::erase_if(near, [&](const IdentityPair& pair) {
        return some[static_cast<std::size_t>(pair.a)].identity == pair.b;
      });
    append(found, pairs_of_rows(some, unit, in.indexed(), std::move(near),
                                {options.across, options.threads, options.progress}, control));
  }
  return found;
}

/// Those of all ranks, sorted and each once, on rank 0.
template <class Pair>
std::vector<Pair> on_root(const std::vector<Pair>& own, dist::HostCollectives& control) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(control.world_size()), 0);
  counts[0] = static_cast<std::int64_t>(own.size());
  auto all = control.all_to_all_v(std::span<const Pair>(own), counts);
  std::ranges::sort(all);
  const auto rest = std::ranges::unique(
      all, [](const Pair& x, const Pair& y) { return x.a == y.a && x.b == y.b; });
  all.erase(rest.begin(), rest.end());
  return all;
}

Neighbours gather(const std::vector<NeighbourPair>& pairs,
                  const std::vector<IdentityPair>& identities, std::int64_t strays,
                  std::int64_t zero_rows, dist::HostCollectives& control) {
  Neighbours all;
  all.pairs = on_root(pairs, control);
  all.identities = on_root(identities, control);
  all.strays = control.all_reduce(strays, dist::ReduceOp::kSum);
  all.zero_rows = control.all_reduce(zero_rows, dist::ReduceOp::kSum);
  return all;
}

std::int64_t size_of(const std::vector<Stray>& strays) {
  return static_cast<std::int64_t>(strays.size());
}

void check_dims(const EmbeddedSet& a, const EmbeddedSet& b) {
  if (a.dim != b.dim)
    throw data::DataError(a.name + " has embeddings of " + std::to_string(a.dim) + " numbers, " +
                          b.name + " of " + std::to_string(b.dim) +
                          ": expected embeddings of one network");
}

}  // namespace

Neighbours find_neighbours(const EmbeddedSet& set, const NeighbourOptions& options,
                           dist::HostCollectives& control) {
  const PassedSet passed(set, options, Inside::kCompare, Strays::kList, control);
  const SampleSearch samples = {options.across, options.threads, options.progress};
  const auto identities =
      near_centres(passed.centres(), {options.centre, options.threads, options.progress}, control);
  auto pairs = passed.share.pairs;
  append(pairs,
         pairs_of_identities(passed.indexed(), passed.indexed(), identities, samples, control));
  append(pairs, pairs_of_strays(passed, passed, options, control));
  for (NeighbourPair& pair : pairs)
    if (pair.a > pair.b) std::swap(pair.a, pair.b);
  return gather(pairs, identities, size_of(passed.share.strays), passed.share.zero_rows, control);
}

Neighbours find_neighbours_between(const EmbeddedSet& a, const EmbeddedSet& b,
                                   const NeighbourOptions& options,
                                   dist::HostCollectives& control) {
  check_dims(a, b);
  const PassedSet first(a, options, Inside::kSkip, Strays::kList, control);
  const PassedSet second(b, options, Inside::kSkip, Strays::kList, control);
  const SampleSearch samples = {options.across, options.threads, options.progress};
  auto near = near_to_centres(first.share.centres, second.centres(),
                              {options.centre, options.threads, options.progress}, control);
  for (IdentityPair& pair : near) pair.a += first.share.first;
  auto pairs = pairs_of_identities(first.indexed(), second.indexed(), near, samples, control);
  append(pairs, pairs_of_strays(first, second, options, control));
  for (NeighbourPair pair : pairs_of_strays(second, first, options, control)) {
    std::swap(pair.a, pair.b);
    pairs.push_back(pair);
  }
  return gather(pairs, near, size_of(first.share.strays) + size_of(second.share.strays),
                first.share.zero_rows + second.share.zero_rows, control);
}

Neighbours find_shared_identities(const EmbeddedSet& a, const EmbeddedSet& b,
                                  const NeighbourOptions& options, dist::HostCollectives& control) {
  check_dims(a, b);
  const PassedSet first(a, options, Inside::kSkip, Strays::kSkip, control);
  const PassedSet second(b, options, Inside::kSkip, Strays::kSkip, control);
  auto near = near_to_centres(first.share.centres, second.centres(),
                              {options.centre, options.threads, options.progress}, control);
  for (IdentityPair& pair : near) pair.a += first.share.first;
  return gather({}, near, 0, first.share.zero_rows + second.share.zero_rows, control);
}

}  // namespace diffprob::eval
