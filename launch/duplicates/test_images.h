#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "launch/config/config.h"
#include "launch/duplicates/hashed_images.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// The images of the test sets of a job: .bin sets in memory, each different image once (most of
/// them are in many pairs), then the loose crops of IJB folders, aligned by their landmarks.
class TestImages {
 public:
  /// eval.sets and eval.ijb. Collective. Throws data::DataError on all ranks.
  TestImages(const Config& config, Runtime& runtime);
  ~TestImages();
  TestImages(const TestImages&) = delete;
  TestImages& operator=(const TestImages&) = delete;

  [[nodiscard]] std::int64_t size() const;
  [[nodiscard]] std::int64_t sets() const;
  [[nodiscard]] std::string describe(std::int64_t image) const;
  /// For hashes and comparisons; TestImages must outlive it. A crop that is missing, or whose
  /// landmarks are not those of a face, is an image that cannot be read.
  [[nodiscard]] ImageSource source() const;

  /// Images of each set with all repetitions, in the order of eval.sets and eval.ijb: the rows of
  /// its file of embeddings.
  [[nodiscard]] const std::vector<std::int64_t>& rows_of_sets() const noexcept { return rows_; }
  /// The image that row k of all those files together shows.
  [[nodiscard]] std::int64_t image_of_row(std::int64_t row) const {
    return image_of_row_[static_cast<std::size_t>(row)];
  }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::vector<std::int64_t> rows_;
  std::vector<std::int64_t> image_of_row_;
};

/// Throws data::DataError unless the .bin sets and IJB folders are there and can be read. One rank.
void check_test_sets(const Config& config);

}  // namespace diffprob::launch
