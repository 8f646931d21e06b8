// Neighbours on 1 to 4 ranks against all pairs in float64, and against products of single rows, so
// that every bit is the same for any number of ranks.
#include "eval/neighbours/neighbours.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "eval/neighbours/row_products.h"
#include "tests/support/mpi_world.h"

namespace diffprob::eval {
namespace {

struct Faces {
  std::int64_t dim = 0;
  std::int64_t identities = 0;
  std::vector<std::int64_t> labels;
  std::vector<std::vector<float>> rows;

  void add(std::int64_t label, std::vector<float> row) {
    labels.push_back(label);
    rows.push_back(std::move(row));
  }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(rows.size()); }
  [[nodiscard]] EmbeddedSet set(const std::string& name) const {
    return {name,
            size(),
            dim,
            identities,
            [this](std::int64_t row) { return labels[static_cast<std::size_t>(row)]; },
            [this](std::int64_t first, std::span<float> values) {
              for (std::size_t at = 0; at < values.size(); at += static_cast<std::size_t>(dim))
                std::ranges::copy(
                    rows.at(static_cast<std::size_t>(first) + at / static_cast<std::size_t>(dim)),
                    values.begin() + static_cast<std::ptrdiff_t>(at));
            }};
  }
};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  std::vector<float> row(std::int64_t dim) {
    std::vector<float> values(static_cast<std::size_t>(dim));
    for (float& value : values) value = normal_(random_);
    return values;
  }
  /// Close to `from`, at another length.
  std::vector<float> near(std::vector<float> from, float noise) {
    for (float& value : from) value = 3 * (value + noise * normal_(random_));
    return from;
  }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

 private:
  std::mt19937_64 random_;
  std::normal_distribution<float> normal_;
};

/// People with 0 to 9 images, in no order, of whom some have two labels; copies inside identities
/// and under wrong labels; an embedding of zeros.
Faces mixed_faces(std::uint64_t seed, std::int64_t dim, std::int64_t identities) {
  Maker maker(seed);
  Faces faces{dim, identities, {}, {}};
  std::vector<std::vector<float>> people;
  for (std::int64_t id = 0; id < identities; ++id)
    people.push_back(id % 5 == 4 ? people.back() : maker.row(dim));
  for (std::int64_t id = 0; id < identities; ++id)
    for (std::uint64_t k = maker.below(10); k > 0; --k)
      faces.add(id, maker.near(people[static_cast<std::size_t>(id)], 0.6F));
  const std::size_t originals = faces.rows.size();
  for (std::size_t i = 0; i < originals; i += 4)
    faces.add(i % 8 == 0
                  ? faces.labels[i]
                  : static_cast<std::int64_t>(maker.below(static_cast<std::uint64_t>(identities))),
              maker.near(faces.rows[i], 0.05F));
  faces.add(0, std::vector<float>(static_cast<std::size_t>(dim), 0));
  for (std::size_t i = faces.rows.size() - 1; i > 0; --i) {
    const std::size_t other = maker.below(i + 1);
    std::swap(faces.rows[i], faces.rows[other]);
    std::swap(faces.labels[i], faces.labels[other]);
  }
  return faces;
}

using Row = std::vector<double>;

double product(const Row& a, const Row& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}
Row unit(Row row) {
  const double length = std::sqrt(product(row, row));
  for (double& value : row) value = length > 0 ? value / length : 0;
  return row;
}

/// All in float64 and by plain loops.
struct Slow {
  std::vector<Row> rows;
  std::vector<Row> centres;
  std::vector<double> to_others;  ///< cosine with the other rows of the identity; 1 if undefined

  explicit Slow(const Faces& faces) {
    const auto dim = static_cast<std::size_t>(faces.dim);
    std::vector<Row> sums(static_cast<std::size_t>(faces.identities), Row(dim, 0));
    std::vector<int> count(sums.size(), 0);
    for (std::size_t i = 0; i < faces.rows.size(); ++i) {
      rows.push_back(unit(Row(faces.rows[i].begin(), faces.rows[i].end())));
      const auto id = static_cast<std::size_t>(faces.labels[i]);
      for (std::size_t d = 0; d < dim; ++d) sums[id][d] += rows[i][d];
      ++count[id];
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto id = static_cast<std::size_t>(faces.labels[i]);
      Row others = sums[id];
      for (std::size_t d = 0; d < dim; ++d) others[d] -= rows[i][d];
      const bool defined =
          count[id] > 1 && product(rows[i], rows[i]) > 0 && product(others, others) > 1e-10;
      to_others.push_back(defined ? product(rows[i], unit(others)) : 1);
    }
    for (const Row& sum : sums) centres.push_back(unit(sum));
  }
};

using Pairs = std::map<std::pair<std::int64_t, std::int64_t>, double>;

/// Cosines that are so close to a threshold that float32 may be on its other side.
constexpr double kClose = 2e-6;

bool clear_of(double cosine, double threshold) {
  return std::abs(cosine - threshold) > kClose;
}

/// Pairs that must be found, and pairs that may.
struct Expected {
  Pairs must;
  Pairs may;
};

/// Whether rows i of x and j of y are compared: 1 yes, 0 no, -1 rounding decides.
int compared(const Faces& a, const Slow& x, const Faces& b, const Slow& y, std::size_t i,
             std::size_t j, const NeighbourOptions& options) {
  const auto p = static_cast<std::size_t>(a.labels[i]), q = static_cast<std::size_t>(b.labels[j]);
  int answer = 0;
  const auto take = [&](bool yes, bool is_clear) {
    if (yes && is_clear) answer = 1;
    if (!is_clear && answer == 0) answer = -1;
  };
  const double centres = product(x.centres[p], y.centres[q]);
  take(centres >= options.centre, clear_of(centres, options.centre));
  const auto stray = [&](double to_others, double to_centre) {
    if (options.stray == 0) return;
    take(to_others < options.stray && to_centre >= options.stray,
         clear_of(to_others, options.stray) && clear_of(to_centre, options.stray));
  };
  stray(x.to_others[i], product(x.rows[i], y.centres[q]));
  stray(y.to_others[j], product(y.rows[j], x.centres[p]));
  return answer;
}

Expected slow_pairs(const Faces& a, const Faces& b, bool one_set, const NeighbourOptions& options) {
  const Slow x(a), y(b);
  Expected expected;
  for (std::size_t i = 0; i < a.rows.size(); ++i)
    for (std::size_t j = one_set ? i + 1 : 0; j < b.rows.size(); ++j) {
      const bool inside = one_set && a.labels[i] == b.labels[j];
      const double least = inside ? options.near : options.across;
      const double cosine = product(x.rows[i], y.rows[j]);
      if (cosine < least - kClose) continue;
      const int answer = inside ? 1 : compared(a, x, b, y, i, j, options);
      const std::pair key(static_cast<std::int64_t>(i), static_cast<std::int64_t>(j));
      if (answer == 1 && clear_of(cosine, least))
        expected.must[key] = cosine;
      else if (answer != 0)
        expected.may[key] = cosine;
    }
  return expected;
}

/// The same bits as the search, from products of single rows.
float single_cosine(const std::vector<float>& a, const std::vector<float>& b) {
  const auto dim = static_cast<std::int64_t>(a.size());
  std::vector<float> x(static_cast<std::size_t>(row_stride(dim))), y(x);
  make_unit(a.data(), dim, row_stride(dim), x.data());
  make_unit(b.data(), dim, row_stride(dim), y.data());
  float cosine = 0;
  row_products(x.data(), 1, y.data(), 1, row_stride(dim), &cosine);
  return cosine;
}

void expect_pairs(const std::vector<NeighbourPair>& found, const Expected& expected, const Faces& a,
                  const Faces& b) {
  std::set<std::pair<std::int64_t, std::int64_t>> keys;
  for (const NeighbourPair& pair : found) {
    const std::pair key(pair.a, pair.b);
    EXPECT_TRUE(keys.empty() || *keys.rbegin() < key) << "not sorted, or twice";
    keys.insert(key);
    EXPECT_TRUE(expected.must.contains(key) || expected.may.contains(key))
        << pair.a << ' ' << pair.b << ' ' << pair.cosine;
    EXPECT_EQ(pair.cosine, single_cosine(a.rows[static_cast<std::size_t>(pair.a)],
                                         b.rows[static_cast<std::size_t>(pair.b)]));
  }
  for (const auto& [key, cosine] : expected.must)
    EXPECT_TRUE(keys.contains(key)) << key.first << ' ' << key.second << ' ' << cosine;
}

/// Centres in the order of the rows, and their products one by one.
std::vector<IdentityPair> single_centre_pairs(const Faces& a, const Faces& b, bool one_set,
                                              double least) {
  const auto centres_of = [](const Faces& faces) {
    const std::int64_t stride = row_stride(faces.dim);
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(faces.identities),
                                          Row(static_cast<std::size_t>(stride), 0));
    std::vector<float> unit_row(static_cast<std::size_t>(stride));
    for (std::size_t i = 0; i < faces.rows.size(); ++i) {
      make_unit(faces.rows[i].data(), faces.dim, stride, unit_row.data());
      for (std::size_t d = 0; d < unit_row.size(); ++d)
        sums[static_cast<std::size_t>(faces.labels[i])][d] += double{unit_row[d]};
    }
    std::vector<std::vector<float>> centres;
    for (const Row& sum : sums) {
      const double length = std::sqrt(product(sum, sum));
      auto& centre = centres.emplace_back(sum.size(), 0.0F);
      for (std::size_t d = 0; d < sum.size() && length > 1e-6; ++d)
        centre[d] = static_cast<float>(sum[d] / length);
    }
    return centres;
  };
  const auto x = centres_of(a), y = centres_of(b);
  std::vector<IdentityPair> pairs;
  for (std::size_t p = 0; p < x.size(); ++p)
    for (std::size_t q = one_set ? p + 1 : 0; q < y.size(); ++q) {
      float cosine = 0;
      row_products(x[p].data(), 1, y[q].data(), 1, row_stride(a.dim), &cosine);
      if (cosine >= static_cast<float>(least))
        pairs.push_back({static_cast<std::int64_t>(p), static_cast<std::int64_t>(q), cosine});
    }
  return pairs;
}

class NeighboursTest : public ::testing::Test {
 protected:
  [[nodiscard]] static bool is_root() { return tests::mpi().rank() == 0; }

  dist::HostCollectives control_;
};

TEST_F(NeighboursTest, OfOneSetAreThoseOfAllPairsInFloat64) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Faces faces = mixed_faces(seed, seed % 2 == 0 ? 24 : 11, seed == 5 ? 1 : 37);
    NeighbourOptions options;
    options.near = 0.93;
    options.across = 0.9;
    options.centre = 0.8;
    options.stray = seed == 1 ? 0 : 0.5;
    options.threads = static_cast<int>(seed % 3) + 1;

    const Neighbours found = find_neighbours(faces.set("faces"), options, control_);

    EXPECT_EQ(found.zero_rows, 1);
    if (!is_root()) {
      EXPECT_TRUE(found.pairs.empty());
      continue;
    }
    const Expected expected = slow_pairs(faces, faces, true, options);
    EXPECT_TRUE(seed == 5 || !expected.must.empty());
    expect_pairs(found.pairs, expected, faces, faces);
    EXPECT_EQ(found.identities, single_centre_pairs(faces, faces, true, options.centre));
  }
}

TEST_F(NeighboursTest, BetweenTwoSetsAreThoseOfAllPairsInFloat64) {
  for (std::uint64_t seed = 10; seed < 14; ++seed) {
    const Faces a = mixed_faces(seed, 16, 29);
    Faces b = mixed_faces(seed + 100, 16, 13);
    Maker maker(seed);
    for (std::size_t i = 0; i < 20; ++i)
      b.add(static_cast<std::int64_t>(i % 13), maker.near(a.rows[3 * i], 0.05F));
    if (seed % 2 == 1) {  // a test set without labels
      b.identities = b.size();
      for (std::size_t i = 0; i < b.labels.size(); ++i) b.labels[i] = static_cast<std::int64_t>(i);
    }
    NeighbourOptions options;
    options.across = 0.9;
    options.centre = 0.6;
    options.stray = 0.5;

    const Neighbours found = find_neighbours_between(a.set("a"), b.set("b"), options, control_);
    const Neighbours shared = find_shared_identities(a.set("a"), b.set("b"), options, control_);

    if (!is_root()) continue;
    const Expected expected = slow_pairs(a, b, false, options);
    EXPECT_GT(expected.must.size(), 10U);
    expect_pairs(found.pairs, expected, a, b);
    const auto centres = single_centre_pairs(a, b, false, options.centre);
    EXPECT_EQ(found.identities, centres);
    EXPECT_EQ(shared.identities, centres);
    EXPECT_TRUE(shared.pairs.empty());
  }
}

TEST_F(NeighboursTest, OfAnIdentityThatIsLargerThanABlock) {
  constexpr std::int64_t kRows = 17'000;  // three blocks
  Maker maker(7);
  Faces faces{6, 3, {}, {}};
  for (std::int64_t i = 0; i < kRows; ++i) faces.add(i % 3 == 2 ? 2 : 1, maker.row(6));
  for (std::int64_t i = 0; i < 40; ++i)
    faces.add(i % 2, maker.near(faces.rows[static_cast<std::size_t>(i * 400 + 1)], 0.0001F));
  NeighbourOptions options;
  options.near = options.across = 0.99999;
  options.centre = 0.99;
  options.stray = 0.9;  // nearly all

  const Neighbours found = find_neighbours(faces.set("faces"), options, control_);

  if (!is_root()) return;
  const Expected expected = slow_pairs(faces, faces, true, options);
  EXPECT_GT(expected.must.size(), 10U);
  expect_pairs(found.pairs, expected, faces, faces);
}

TEST_F(NeighboursTest, StopOnAllRanksWhenOneCannotRead) {
  const Faces faces = mixed_faces(3, 8, 40);
  EmbeddedSet set = faces.set("faces");
  const auto whole = set.read;
  set.read = [&](std::int64_t first, std::span<float> values) {
    if (first <= 100 && 100 < first + static_cast<std::int64_t>(values.size()) / 8)
      throw data::DataError("faces.h5: row 100 is damaged");
    whole(first, values);
  };
  EXPECT_THROW((void)find_neighbours(set, {}, control_), data::DataError);
  set = faces.set("faces");
  set.identities = 5;
  EXPECT_THROW((void)find_neighbours(set, {}, control_), data::DataError);
  NeighbourOptions bad;
  bad.across = 0;
  EXPECT_THROW((void)find_neighbours(faces.set("faces"), bad, control_), data::DataError);
  const Faces other = mixed_faces(3, 9, 4);
  EXPECT_THROW((void)find_neighbours_between(faces.set("a"), other.set("b"), {}, control_),
               data::DataError);
}

TEST_F(NeighboursTest, OfNothingAreNone) {
  const Faces none{8, 4, {}, {}};
  EXPECT_TRUE(find_neighbours(none.set("none"), {}, control_).pairs.empty());
  const Faces faces = mixed_faces(3, 8, 40);
  EXPECT_TRUE(
      find_neighbours_between(faces.set("a"), none.set("none"), {}, control_).pairs.empty());
}

}  // namespace
}  // namespace diffprob::eval
