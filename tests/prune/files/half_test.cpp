#include "prune/files/half.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/files/hdf5_matrix.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Half, EveryValueComesBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double value = from_half(static_cast<HalfBits>(bits));
    if (std::isnan(value)) {
      EXPECT_EQ(to_half(value), kHalfNaN);
    } else {
      ASSERT_EQ(to_half(value), bits) << value;
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (std::uint32_t bits = 0; bits + 1 < 0x7C00; ++bits) {
    const double low = from_half(static_cast<HalfBits>(bits));
    const double high = from_half(static_cast<HalfBits>(bits + 1));
    const double middle = (low + high) / 2;
    ASSERT_EQ(to_half(middle), bits % 2 == 0 ? bits : bits + 1) << middle;
    ASSERT_EQ(to_half(std::nextafter(middle, 0.0)), bits);
    ASSERT_EQ(to_half(std::nextafter(middle, 1e9)), bits + 1);
  }
}

TEST(Half, KnowsItsLimits) {
  EXPECT_EQ(to_half(0), 0);
  EXPECT_EQ(to_half(65504), 0x7BFF);
  EXPECT_EQ(to_half(65519), 0x7BFF);
  EXPECT_EQ(to_half(65520), 0x7C00);
  EXPECT_EQ(to_half(std::numeric_limits<double>::infinity()), 0x7C00);
  EXPECT_EQ(to_half(-2), 0xC000);
  EXPECT_EQ(to_half(1e-9), 0);
}

class HalfRows : public ::testing::Test {
 protected:
  void write(std::size_t rows, std::size_t columns) const {
    HdfWriter file(path_);
    HdfMatrixWriter<HalfBits> half(file, "rows", rows, columns, HdfChunks::kPartsOfRows);
    for (std::size_t row = 0; row < rows; ++row) half.append(row_of(row, columns));
    half.finish();
    file.commit();
  }
  static std::vector<HalfBits> row_of(std::size_t row, std::size_t columns) {
    std::vector<HalfBits> values(columns);
    for (std::size_t i = 0; i < columns; ++i)
      values[i] = to_half(static_cast<double>(row) + static_cast<double>(i % 100) / 128);
    return values;
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("half.h5");
};

TEST_F(HalfRows, RowsAndRangesComeBack) {
  constexpr std::size_t kColumns = kHdfChunkElements + 1000;
  write(3, kColumns);
  const HdfReader file(path_);
  const HdfMatrixReader<HalfBits> half(file, "rows");
  EXPECT_EQ(half.rows(), 3U);
  EXPECT_EQ(half.columns(), kColumns);
  std::vector<HalfBits> all(kColumns);
  half.read(1, 0, all);
  EXPECT_EQ(all, row_of(1, kColumns));
  std::vector<HalfBits> part(20);
  half.read(2, kHdfChunkElements - 10, part);
  const auto wanted = row_of(2, kColumns);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), wanted.begin() + kHdfChunkElements - 10));
  EXPECT_THAT(message_of<PruneError>([&] { half.read(3, 0, part); }),
              HasSubstr("outside the dataset"));
  EXPECT_THAT(message_of<PruneError>([&] { half.read(0, kColumns - 5, part); }),
              HasSubstr("outside the dataset"));
}

TEST_F(HalfRows, RowsMustBeThoseAnnounced) {
  HdfWriter file(path_);
  HdfMatrixWriter<HalfBits> half(file, "rows", 2, 4, HdfChunks::kPartsOfRows);
  EXPECT_THAT(message_of<PruneError>([&] { half.append(row_of(0, 3)); }),
              HasSubstr("announced 2 rows of 4"));
  half.append(row_of(0, 4));
  EXPECT_THAT(message_of<PruneError>([&] { half.finish(); }), HasSubstr("1 rows, 2 announced"));
}

TEST_F(HalfRows, DamagedFilesAreRefused) {
  write(4, 500);
  const std::string whole = read_bytes(path_);
  Draws draws(1);
  for (int round = 0; round < 200; ++round) {
    std::string damaged = whole;
    // In the second half, where the data lie: damaged headers keep libhdf5 itself from closing.
    const std::size_t half_size = whole.size() / 2;
    const auto at =
        half_size + static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(half_size)));
    if (round % 4 == 0)
      damaged.resize(at);
    else
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << draws.below(8)));
    write_bytes(path_, damaged);
    try {
      const HdfReader file(path_);
      const HdfMatrixReader<HalfBits> half(file, "rows");
      std::vector<HalfBits> row(500);
      for (std::size_t r = 0; r < half.rows() && half.columns() == 500; ++r) half.read(r, 0, row);
    } catch (const PruneError& error) {
      EXPECT_THAT(error.what(), HasSubstr("half.h5"));
    }
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
