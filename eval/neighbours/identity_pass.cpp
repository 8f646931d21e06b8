#include "eval/neighbours/identity_pass.h"

#include <algorithm>
#include <cmath>

#include "data/files/worker_threads.h"
#include "eval/neighbours/block_matches.h"
#include "eval/neighbours/row_products.h"

namespace diffprob::eval {
namespace {

constexpr std::int64_t kBlock = 8192;  // rows in memory

/// Cosine between a unit row and the sum of the other rows of its identity. 1 for the only row of
/// an identity and for a row of zeros: nothing speaks against them.
double cosine_with_others(const float* row, const std::vector<double>& sum, double square_of_sum,
                          std::int64_t stride) {
  const double with_sum = product_with_sum(row, sum.data(), stride);
  float own = 0;
  row_products(row, 1, row, 1, stride, &own);
  const auto square = double{own};  // 1, or 0 for a row of zeros
  if (square == 0) return 1;
  const double of_others = square_of_sum - 2 * with_sum + square;
  constexpr double kNothing = 1e-10;
  if (of_others < kNothing) return 1;
  return (with_sum - square) / std::sqrt(square * of_others);
}

double square_of(const std::vector<double>& sum) {
  double square = 0;
  for (const double value : sum) square += value * value;
  return square;
}

/// One rank's identities, in steps.
class IdentityPass {
 public:
  IdentityPass(const EmbeddedSet& set, const IdentityRows& rows, std::int64_t first,
               std::int64_t last, const IdentityPassOptions& options)
      : rows_(rows),
        options_(options),
        reader_(set, rows, options.threads),
        stride_(row_stride(set.dim)),
        last_(last),
        next_(first) {
    out_.first = first;
    out_.centres.stride = stride_;
    out_.centres.values.resize(static_cast<std::size_t>((last - first) * stride_));
    sum_.resize(static_cast<std::size_t>(stride_));
  }

  Rounds::Done step() {
    const std::int64_t before = places_done_;
    if (next_ < last_) {
      if (rows_.count(next_) > kBlock)
        step_in_large();
      else
        take_small_ones();
    }
    return {places_done_ - before, static_cast<std::int64_t>(out_.pairs.size()), next_ < last_};
  }

  [[nodiscard]] IdentityShare take() {
    out_.zero_rows = reader_.zero_rows();
    std::ranges::sort(out_.strays, {}, [](const Stray& s) { return std::pair(s.identity, s.row); });
    return std::move(out_);
  }

 private:
  struct OfWorker {
    std::vector<BlockMatch> matches;
    std::vector<double> sum;
    std::vector<NeighbourPair> pairs;
    std::vector<Stray> strays;
  };

  /// Whole identities that fit into a block together.
  void take_small_ones() {
    const std::int64_t begin = rows_.begin(next_);
    std::int64_t end = next_ + 1;
    while (end < last_ && rows_.begin(end + 1) - begin <= kBlock) ++end;
    const UnitRows block = reader_.read(begin, rows_.begin(end));
    constexpr std::int64_t kIdentitiesATask = 16;
    const std::int64_t tasks = (end - next_ + kIdentitiesATask - 1) / kIdentitiesATask;
    const int threads = tasks > 1 ? std::max(1, options_.threads) : 1;
    std::vector<OfWorker> workers(static_cast<std::size_t>(threads));
    data::parallel_for(0, tasks, threads, [&](std::int64_t task, int worker) {
      const std::int64_t first = next_ + task * kIdentitiesATask;
      for (std::int64_t id = first; id < std::min(end, first + kIdentitiesATask); ++id)
        take_identity(id, block.block(rows_.begin(id) - begin, rows_.begin(id + 1) - begin),
                      workers[static_cast<std::size_t>(worker)]);
    });
    for (const OfWorker& worker : workers) {
      out_.pairs.insert(out_.pairs.end(), worker.pairs.begin(), worker.pairs.end());
      out_.strays.insert(out_.strays.end(), worker.strays.begin(), worker.strays.end());
    }
    places_done_ += block.count();
    next_ = end;
  }

  void take_identity(std::int64_t identity, const RowBlock& block, OfWorker& out) {
    out.sum.assign(static_cast<std::size_t>(stride_), 0);
    add(block, out.sum);
    set_centre(identity, out.sum);
    const std::int64_t place = rows_.begin(identity);
    list_strays(identity, place, block, out.sum, out.strays);
    if (!options_.near) return;
    out.matches.clear();
    find_matches(block, block, BlockPairs::kAscending, static_cast<float>(*options_.near), 1,
                 out.matches);
    add_pairs(out.matches, place, place, out.pairs);
  }

  /// A pair of blocks of an identity that is larger than one, or, when all have been compared, a
  /// block whose rows are compared with the centre.
  void step_in_large() {
    const std::int64_t begin = rows_.begin(next_);
    const std::int64_t end = rows_.begin(next_ + 1);
    const std::int64_t left = begin + left_ * kBlock;
    if (left >= end) return step_in_strays(begin, end);
    if (left_ == right_) {
      left_block_ = reader_.read(left, std::min(end, left + kBlock));
      add(left_block_.block(), sum_);
    }
    compare_large(left, begin + right_ * kBlock, end);
    ++right_;
    if (options_.near && begin + right_ * kBlock < end) return;
    places_done_ += left_block_.count();
    right_ = ++left_;
  }

  void compare_large(std::int64_t left, std::int64_t right, std::int64_t end) {
    if (!options_.near) return;
    matches_.clear();
    const RowBlock a = left_block_.block();
    const auto least = static_cast<float>(*options_.near);
    if (left == right) {
      find_matches(a, a, BlockPairs::kAscending, least, options_.threads, matches_);
    } else {
      const UnitRows other = again_.read(right, std::min(end, right + kBlock));
      find_matches(a, other.block(), BlockPairs::kAll, least, options_.threads, matches_);
    }
    add_pairs(matches_, left, right, out_.pairs);
  }

  void step_in_strays(std::int64_t begin, std::int64_t end) {
    const std::int64_t place = begin + stray_block_ * kBlock;
    if (options_.stray && place < end) {
      const UnitRows block = again_.read(place, std::min(end, place + kBlock));
      list_strays(next_, place, block.block(), sum_, out_.strays);
      ++stray_block_;
      return;
    }
    set_centre(next_, sum_);
    std::ranges::fill(sum_, 0.0);
    left_ = right_ = stray_block_ = 0;
    left_block_ = {};
    ++next_;
  }

  void add(const RowBlock& block, std::vector<double>& sum) const {
    for (std::int64_t i = 0; i < block.rows; ++i)
      add_row(block.values + i * stride_, stride_, sum.data());
  }

  void set_centre(std::int64_t identity, const std::vector<double>& sum) {
    const double length = std::sqrt(square_of(sum));
    constexpr double kNothing = 1e-6;
    if (length < kNothing) return;
    float* const to = out_.centres.values.data() + (identity - out_.first) * stride_;
    for (std::size_t i = 0; i < sum.size(); ++i) to[i] = static_cast<float>(sum[i] / length);
  }

  void list_strays(std::int64_t identity, std::int64_t place, const RowBlock& block,
                   const std::vector<double>& sum, std::vector<Stray>& out) const {
    if (!options_.stray || rows_.count(identity) < 2) return;
    const double square = square_of(sum);
    for (std::int64_t i = 0; i < block.rows; ++i)
      if (cosine_with_others(block.values + i * stride_, sum, square, stride_) < *options_.stray)
        out.push_back({rows_.row_at(place + i), identity});
  }

  void add_pairs(const std::vector<BlockMatch>& matches, std::int64_t left, std::int64_t right,
                 std::vector<NeighbourPair>& out) const {
    for (const BlockMatch& match : matches)
      out.push_back({rows_.row_at(left + match.a), rows_.row_at(right + match.b), match.cosine});
  }

  const IdentityRows& rows_;
  const IdentityPassOptions& options_;
  UnitRowReader reader_;
  UnitRowReader again_ = reader_;  ///< of rows that are read once more, whose zeros count once
  std::int64_t stride_;
  std::int64_t last_;
  std::int64_t next_;
  std::int64_t places_done_ = 0;
  IdentityShare out_;
  // Of the large identity that is being read: blocks that are compared next.
  std::int64_t left_ = 0;
  std::int64_t right_ = 0;
  std::int64_t stray_block_ = 0;
  UnitRows left_block_;
  std::vector<double> sum_;
  std::vector<BlockMatch> matches_;
};

}  // namespace

IdentityShare pass_over_identities(const EmbeddedSet& set, const IdentityRows& rows,
                                   const std::vector<std::int64_t>& shares,
                                   const IdentityPassOptions& options,
                                   const NeighbourProgress& progress,
                                   dist::HostCollectives& control) {
  const auto rank = static_cast<std::size_t>(control.rank());
  Rounds rounds(control, progress, "embeddings of " + set.name, set.rows);
  std::optional<IdentityPass> pass;
  while (rounds.run([&] {
    if (!pass) pass.emplace(set, rows, shares[rank], shares[rank + 1], options);
    return pass->step();
  })) {
  }
  return pass->take();
}

}  // namespace diffprob::eval
