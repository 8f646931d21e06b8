#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace diffprob::launch {

/// Features made elsewhere: a two-dimensional array of floats, one row an image, in a .npy (f4 or
/// f8, C order) or in a dataset of an HDF5 file (float32 or float64, any byte order and
/// compression, in that file itself). The form is told by the content. Nothing the file says is
/// believed before it is checked; rows are read one at a time. Every member throws
/// prune::PruneError that names the file.
class FeatureFile {
 public:
  /// dataset: path inside an HDF5 file.
  FeatureFile(const std::string& path, const std::string& dataset);
  ~FeatureFile();
  FeatureFile(const FeatureFile&) = delete;
  FeatureFile& operator=(const FeatureFile&) = delete;

  [[nodiscard]] std::int64_t rows() const;
  [[nodiscard]] std::int64_t columns() const;
  /// 0 <= row < rows(); values [columns()].
  void read_row(std::int64_t row, std::span<float> values);
  static constexpr std::int64_t kMostColumns = 1 << 16;

  struct Source;

 private:
  std::unique_ptr<Source> source_;
};

}  // namespace diffprob::launch
