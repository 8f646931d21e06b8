// Files of embeddings: what is written comes back, and what is not whole is refused.
#include "prune/tables/embedding_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "prune/error.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kSamples = 700;  // more than a chunk of 400 columns
constexpr std::int64_t kDim = 400;

class EmbeddingFile : public ::testing::Test {
 protected:
  static EmbeddingSourceInfo info(bool mirrored) {
    EmbeddingSourceInfo info{"set", "network", "score: {fold: true}\n", kSamples, kDim, mirrored};
    info.part_of = "whole";
    return info;
  }
  static float value(std::int64_t row, std::int64_t column) {
    return static_cast<float>(row - 300) + static_cast<float>(column % 64) / 64;
  }
  void write(bool mirrored, bool half) const {
    const EmbeddingSourceInfo source = info(mirrored);
    EmbeddingWriter file(path_, source, half);
    for (std::int64_t row = 0; row < kSamples;) {  // in pieces of 1, 2, ... rows
      std::vector<float> rows;
      for (std::int64_t last = std::min(kSamples, row + row % 90 + 1); row < last; ++row)
        for (std::int64_t c = 0; c < source.columns(); ++c) rows.push_back(value(row, c));
      file.append(rows);
    }
    file.commit();
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("embeddings.h5");
};

TEST_F(EmbeddingFile, ComesBackInAnyForm) {
  for (const bool mirrored : {false, true}) {
    for (const bool half : {false, true}) {
      write(mirrored, half);
      const EmbeddingReader file(path_);
      EXPECT_EQ(file.source().dataset_fingerprint, "set");
      EXPECT_EQ(file.source().model_fingerprint, "network");
      EXPECT_EQ(file.source().part_of, "whole");
      EXPECT_EQ(file.source().num_samples, kSamples);
      EXPECT_EQ(file.source().mirrored, mirrored);
      EXPECT_EQ(file.is_half(), half);
      constexpr std::int64_t kFirst = 590, kRows = 100;
      std::vector<float> rows(static_cast<std::size_t>(kRows * kDim));
      file.read(kFirst, rows);
      const float rounding = half ? 0.25F : 0.0F;  // values are below 512
      for (std::int64_t i = 0; i < kRows * kDim; ++i) {
        const std::int64_t row = kFirst + i / kDim, column = i % kDim;
        const float wanted = value(row, column) + (mirrored ? value(row, column + kDim) : 0.0F);
        ASSERT_NEAR(rows[static_cast<std::size_t>(i)], wanted, rounding * (mirrored ? 2 : 1))
            << row << ' ' << column;
      }
    }
  }
}

TEST_F(EmbeddingFile, RefusesWhatIsOutsideOrNotFinite) {
  write(false, false);
  std::vector<float> rows(2 * kDim);
  EXPECT_THAT(message_of<PruneError>([&] { EmbeddingReader(path_).read(kSamples - 1, rows); }),
              HasSubstr("outside the dataset"));
  rows.resize(kDim + 1);
  EXPECT_THAT(message_of<PruneError>([&] { EmbeddingReader(path_).read(0, rows); }),
              HasSubstr("expected whole embeddings of 400"));
  EmbeddingSourceInfo source = info(false);
  source.num_samples = 2;
  EmbeddingWriter file(path_, source, true);
  rows.assign(2 * kDim, 1.0F);
  rows[kDim + 3] = 1e30F;  // infinity as float16
  file.append(rows);
  file.commit();
  EXPECT_THAT(message_of<PruneError>([&] { EmbeddingReader(path_).read(0, rows); }),
              HasSubstr("the embedding of sample 1 has a value that is not finite"));
}

TEST_F(EmbeddingFile, RefusesOtherFilesAndShapes) {
  {
    HdfWriter other(path_);
    other.attribute("format", std::string("diffprob-scores"));
    other.attribute("format_version", std::int64_t{1});
    other.commit();
  }
  EXPECT_THAT(message_of<PruneError>([&] { EmbeddingReader file(path_); }),
              HasSubstr("diffprob-embeddings"));
  EmbeddingWriter file(path_, info(false), false);
  file.append(std::vector<float>(kDim, 0.5F));
  EXPECT_THAT(message_of<PruneError>([&] { file.commit(); }), HasSubstr("1 rows, 700 announced"));
}

}  // namespace
}  // namespace diffprob::prune::tests
