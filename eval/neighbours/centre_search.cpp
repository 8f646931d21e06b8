#include "eval/neighbours/centre_search.h"

#include <algorithm>
#include <functional>

#include "eval/neighbours/block_matches.h"

namespace diffprob::eval {
namespace {

constexpr std::int64_t kTile = 8192;      // centres that all ranks have at once
constexpr std::int64_t kQueries = 32768;  // compared with a tile between two meetings

/// Some centres of one rank: rows [first, first + rows) of its share.
struct Segment {
  int rank = 0;
  std::int64_t first = 0;
  RowBlock block;
};

/// Which queries [begin, end) are compared with a segment, and which of its rows.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
struct Part {
  Range queries;
  Range centres;  ///< rows of the rank's share
};
using PartOf = std::function<Part(const Segment&)>;
using Take = std::function<void(const Segment&, const BlockMatch&, std::int64_t query)>;

class TileSearch {
 public:
  TileSearch(const UnitRows& queries, const SharedCentres& centres, const CentreSearch& search,
             dist::HostCollectives& control)
      : queries_(queries), centres_(centres), search_(search), control_(control) {
    const auto ranks = static_cast<std::int64_t>(control.world_size());
    for (std::size_t r = 0; r + 1 < centres.shares.size(); ++r)
      largest_ = std::max(largest_, centres.shares[r + 1] - centres.shares[r]);
    rows_ = std::max<std::int64_t>(1, kTile / ranks);
    most_queries_ = control.all_reduce(queries.count(), dist::ReduceOp::kMax);
  }

  std::vector<IdentityPair> run(const PartOf& part_of, const Take& take,
                                std::vector<IdentityPair>& found) {
    const std::int64_t tiles = (largest_ + rows_ - 1) / rows_;
    const std::int64_t pieces = (most_queries_ + kQueries - 1) / kQueries;
    Rounds rounds(control_, search_.progress, "centres", tiles * pieces * control_.world_size());
    for (std::int64_t tile = 0; tile < tiles && pieces > 0; ++tile) {
      const std::vector<Segment> segments = gather(tile);
      for (std::int64_t piece = 0; piece < pieces; ++piece)
        rounds.run([&]() -> Rounds::Done {
          for (const Segment& segment : segments) compare(segment, piece, part_of(segment), take);
          return {1, static_cast<std::int64_t>(found.size()), false};
        });
    }
    return std::move(found);
  }

 private:
  /// Rows [tile * rows_, (tile + 1) * rows_) of the share of every rank.
  std::vector<Segment> gather(std::int64_t tile) {
    const std::int64_t own = centres_.own.count();
    const std::int64_t first = std::min(own, tile * rows_);
    const std::int64_t last = std::min(own, first + rows_);
    const std::int64_t stride = centres_.own.stride;
    std::vector<std::int64_t> counts;
    values_ = control_.all_gather_v(std::span<const float>(centres_.own.values)
                                        .subspan(static_cast<std::size_t>(first * stride),
                                                 static_cast<std::size_t>((last - first) * stride)),
                                    &counts);
    std::vector<Segment> segments;
    const float* values = values_.data();
    for (std::size_t r = 0; r < counts.size(); values += counts[r++])
      segments.push_back({static_cast<int>(r), tile * rows_, {values, counts[r] / stride, stride}});
    return segments;
  }

  void compare(const Segment& segment, std::int64_t piece, const Part& part, const Take& take) {
    const std::int64_t begin = std::max(part.queries.begin, piece * kQueries);
    const std::int64_t end = std::min({part.queries.end, queries_.count(), (piece + 1) * kQueries});
    const std::int64_t from = std::max<std::int64_t>(0, part.centres.begin - segment.first);
    const std::int64_t to = std::min(part.centres.end - segment.first, segment.block.rows);
    if (begin >= end || from >= to) return;
    const std::int64_t stride = centres_.own.stride;
    matches_.clear();
    find_matches(queries_.block(begin, end),
                 {segment.block.values + from * stride, to - from, stride}, BlockPairs::kAll,
                 static_cast<float>(search_.least), search_.threads, matches_);
    for (BlockMatch match : matches_) {
      match.b += static_cast<std::int32_t>(from);
      take(segment, match, begin + match.a);
    }
  }

  const UnitRows& queries_;
  const SharedCentres& centres_;
  const CentreSearch& search_;
  dist::HostCollectives& control_;
  std::int64_t largest_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t most_queries_ = 0;
  std::vector<float> values_;
  std::vector<BlockMatch> matches_;
};

std::int64_t share_of(const SharedCentres& centres, int rank) {
  const auto r = static_cast<std::size_t>(rank);
  return centres.shares[r + 1] - centres.shares[r];
}

}  // namespace

std::vector<IdentityPair> near_centres(const SharedCentres& centres, const CentreSearch& search,
                                       dist::HostCollectives& control) {
  const int me = control.rank();
  const std::int64_t own = share_of(centres, me);
  // Of ranks r < q, r compares the first half of its centres with all of q's, and q all of its
  // centres with the second half of r's.
  const auto part_of = [&](const Segment& segment) -> Part {
    const std::int64_t theirs = share_of(centres, segment.rank);
    if (segment.rank > me) return {{0, own / 2}, {0, theirs}};
    if (segment.rank < me) return {{0, own}, {theirs / 2, theirs}};
    return {{0, segment.first + segment.block.rows}, {0, theirs}};
  };
  std::vector<IdentityPair> found;
  const auto take = [&](const Segment& segment, const BlockMatch& match, std::int64_t query) {
    const std::int64_t a = centres.shares[static_cast<std::size_t>(me)] + query;
    const std::int64_t b =
        centres.shares[static_cast<std::size_t>(segment.rank)] + segment.first + match.b;
    if (segment.rank == me && a >= b) return;
    found.push_back({std::min(a, b), std::max(a, b), match.cosine});
  };
  return TileSearch(centres.own, centres, search, control).run(part_of, take, found);
}

std::vector<IdentityPair> near_to_centres(const UnitRows& queries, const SharedCentres& centres,
                                          const CentreSearch& search,
                                          dist::HostCollectives& control) {
  const auto part_of = [&](const Segment& segment) -> Part {
    return {{0, queries.count()}, {0, share_of(centres, segment.rank)}};
  };
  std::vector<IdentityPair> found;
  const auto take = [&](const Segment& segment, const BlockMatch& match, std::int64_t query) {
    const std::int64_t identity =
        centres.shares[static_cast<std::size_t>(segment.rank)] + segment.first + match.b;
    found.push_back({query, identity, match.cosine});
  };
  return TileSearch(queries, centres, search, control).run(part_of, take, found);
}

}  // namespace diffprob::eval
