#include "eval/neighbours/sample_search.h"

#include <algorithm>
#include <tuple>

#include "eval/neighbours/block_matches.h"

namespace diffprob::eval {
namespace {

constexpr std::int64_t kBlock = 8192;  // rows of an identity in memory
/// Work between two meetings of the ranks: products, of which a row that is read counts as many as
/// its reading takes time.
constexpr std::int64_t kRoundWork = std::int64_t{1} << 25;
constexpr std::int64_t kReadingARow = 50;
constexpr std::int64_t kReadingAtAll = 5000;

/// Places [begin, end) of an identity's rows, at most kBlock of them.
struct Places {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  [[nodiscard]] std::int64_t count() const { return end - begin; }
  friend bool operator==(const Places&, const Places&) = default;
};

std::vector<Places> blocks_of(const IdentityRows& rows, std::int64_t identity) {
  std::vector<Places> blocks;
  const std::int64_t end = rows.begin(identity + 1);
  for (std::int64_t begin = rows.begin(identity); begin < end; begin += kBlock)
    blocks.push_back({begin, std::min(end, begin + kBlock)});
  return blocks;
}

/// The rows that were read last, which are often asked for again.
class LastBlock {
 public:
  LastBlock(const IndexedSet& of, int threads)
      : rows_(of.rows), reader_(of.set, of.rows, threads) {}

  /// Adds the work of reading to `work` when there was something to read.
  const UnitRows& read(const Places& places, std::int64_t& work) {
    if (places == places_) return unit_;
    unit_ = reader_.read(places.begin, places.end);
    places_ = places;
    work += kReadingAtAll + places.count() * kReadingARow;
    return unit_;
  }
  [[nodiscard]] std::int64_t row_at(std::int64_t place) const { return rows_.row_at(place); }

 private:
  const IdentityRows& rows_;
  UnitRowReader reader_;
  Places places_;
  UnitRows unit_;
};

/// Compares pairs from `next` on until they end or a round's work is done. `compare_next`
/// adds its work to what it is given, and moves `next` on when a pair is done.
template <class CompareNext>
Rounds::Done one_round(const std::size_t& next, std::size_t pairs,
                       const std::vector<NeighbourPair>& found, const CompareNext& compare_next) {
  const std::size_t before = next;
  for (std::int64_t work = 0; next < pairs && work < kRoundWork;) compare_next(work);
  return {static_cast<std::int64_t>(next - before), static_cast<std::int64_t>(found.size()),
          next < pairs};
}

/// Pairs of identities, one after the other, each block by block.
class IdentityPairs {
 public:
  IdentityPairs(const IndexedSet& first, const IndexedSet& second,
                const std::vector<IdentityPair>& near, const SampleSearch& search)
      : first_(first),
        second_(second),
        near_(near),
        search_(search),
        left_(first, search.threads),
        right_(second, search.threads) {}

  Rounds::Done step() {
    return one_round(next_, near_.size(), found,
                     [this](std::int64_t& work) { compare_next(work); });
  }

  std::vector<NeighbourPair> found;

 private:
  void compare_next(std::int64_t& work) {
    const IdentityPair& pair = near_[next_];
    const std::vector<Places> lefts = blocks_of(first_.rows, pair.a);
    const std::vector<Places> rights = blocks_of(second_.rows, pair.b);
    if (block_ >= lefts.size() * rights.size()) {
      block_ = 0;
      ++next_;
      return;
    }
    const Places& left = lefts[block_ / rights.size()];
    const Places& right = rights[block_ % rights.size()];
    const UnitRows& a = left_.read(left, work);
    const UnitRows& b = right_.read(right, work);
    matches_.clear();
    find_matches(a.block(), b.block(), BlockPairs::kAll, static_cast<float>(search_.least),
                 search_.threads, matches_);
    for (const BlockMatch& match : matches_)
      found.push_back(
          {left_.row_at(left.begin + match.a), right_.row_at(right.begin + match.b), match.cosine});
    work += a.count() * b.count();
    ++block_;
  }

  const IndexedSet& first_;
  const IndexedSet& second_;
  const std::vector<IdentityPair>& near_;
  const SampleSearch& search_;
  LastBlock left_;
  LastBlock right_;
  std::size_t next_ = 0;
  std::size_t block_ = 0;  ///< of the pair of identities, pairs of their blocks
  std::vector<BlockMatch> matches_;
};

/// Single rows, sorted by the identity that they are compared with.
class RowPairs {
 public:
  RowPairs(const std::vector<Stray>& rows, const UnitRows& unit, const IndexedSet& second,
           const std::vector<IdentityPair>& near, const SampleSearch& search)
      : rows_(rows),
        unit_(unit),
        second_(second),
        near_(near),
        search_(search),
        right_(second, search.threads) {}

  Rounds::Done step() {
    return one_round(next_, near_.size(), found,
                     [this](std::int64_t& work) { compare_next(work); });
  }

  std::vector<NeighbourPair> found;

 private:
  void compare_next(std::int64_t& work) {
    const std::int64_t identity = near_[next_].b;
    std::size_t end = next_;
    std::vector<float> queries;
    while (end < near_.size() && near_[end].b == identity && end - next_ < kMostQueries) {
      const float* const row = unit_.row(near_[end++].a);
      queries.insert(queries.end(), row, row + unit_.stride);
    }
    const RowBlock a = {queries.data(), static_cast<std::int64_t>(end - next_), unit_.stride};
    for (const Places& places : blocks_of(second_.rows, identity)) {
      const UnitRows& b = right_.read(places, work);
      matches_.clear();
      find_matches(a, b.block(), BlockPairs::kAll, static_cast<float>(search_.least),
                   search_.threads, matches_);
      for (const BlockMatch& match : matches_) {
        const std::int64_t query = near_[next_ + static_cast<std::size_t>(match.a)].a;
        found.push_back({rows_[static_cast<std::size_t>(query)].row,
                         right_.row_at(places.begin + match.b), match.cosine});
      }
      work += a.rows * b.count();
    }
    next_ = end;
  }

  static constexpr std::size_t kMostQueries = 1024;

  const std::vector<Stray>& rows_;
  const UnitRows& unit_;
  const IndexedSet& second_;
  const std::vector<IdentityPair>& near_;
  const SampleSearch& search_;
  LastBlock right_;
  std::size_t next_ = 0;
  std::vector<BlockMatch> matches_;
};

template <class Pairs>
std::vector<NeighbourPair> run_all(Pairs& pairs, std::int64_t own, const std::string& what,
                                   const SampleSearch& search, dist::HostCollectives& control) {
  Rounds rounds(control, search.progress, what, control.all_reduce(own, dist::ReduceOp::kSum));
  while (rounds.run([&] { return pairs.step(); })) {
  }
  return std::move(pairs.found);
}

}  // namespace

std::vector<NeighbourPair> pairs_of_identities(const IndexedSet& first, const IndexedSet& second,
                                               std::vector<IdentityPair> near,
                                               const SampleSearch& search,
                                               dist::HostCollectives& control) {
  std::ranges::sort(near);
  IdentityPairs pairs(first, second, near, search);
  return run_all(pairs, static_cast<std::int64_t>(near.size()), "pairs of identities", search,
                 control);
}

std::vector<NeighbourPair> pairs_of_rows(const std::vector<Stray>& rows, const UnitRows& unit,
                                         const IndexedSet& second, std::vector<IdentityPair> near,
                                         const SampleSearch& search,
                                         dist::HostCollectives& control) {
  std::ranges::sort(near, {}, [](const IdentityPair& pair) { return std::tuple(pair.b, pair.a); });
  RowPairs pairs(rows, unit, second, near, search);
  return run_all(pairs, static_cast<std::int64_t>(near.size()), "rows unlike their identity",
                 search, control);
}

}  // namespace diffprob::eval
