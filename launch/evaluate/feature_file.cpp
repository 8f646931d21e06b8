#include "launch/evaluate/feature_file.h"

#include <algorithm>
#include <array>
#include <vector>

#include "data/files/stand_in.h"
#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/files/npy_file.h"

namespace diffprob::launch {

struct FeatureFile::Source {
  virtual ~Source() = default;
  [[nodiscard]] virtual std::int64_t rows() const = 0;
  [[nodiscard]] virtual std::int64_t columns() const = 0;
  virtual void read_row(std::int64_t row, std::span<float> values) = 0;
};

namespace {

using prune::HdfHandle;
using prune::PruneError;

class NpySource final : public FeatureFile::Source {
 public:
  explicit NpySource(const std::string& path) : file_(path) {
    if (!file_.is_float() || file_.dimensions() != 2)
      throw PruneError(path +
                       ": expected a two-dimensional array of floats, one row per image (numpy: "
                       "a.astype('float32'))");
  }
  [[nodiscard]] std::int64_t rows() const override { return file_.rows(); }
  [[nodiscard]] std::int64_t columns() const override { return file_.columns(); }
  void read_row(std::int64_t row, std::span<float> values) override {
    wide_.resize(values.size());
    file_.read_row(row, wide_);
    std::transform(wide_.begin(), wide_.end(), values.begin(),
                   [](double v) { return static_cast<float>(v); });
  }

 private:
  prune::NpyFile file_;
  std::vector<double> wide_;
};

class HdfSource final : public FeatureFile::Source {
 public:
  HdfSource(const std::string& path, const std::string& dataset) : path_(path), dataset_(dataset) {
    file_ = HdfHandle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (file_.get() < 0) {
      const std::string instead = data::stand_in_text(path);
      throw PruneError(path + ": " + (instead.empty() ? "not a whole HDF5 file" : instead));
    }
    check_links();
    data_ = HdfHandle(H5Dopen2(file_.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
    if (data_.get() < 0) fail("cannot be read as a dataset");
    check_layout();
    const HdfHandle space(H5Dget_space(data_.get()), H5Sclose);
    if (H5Sget_simple_extent_ndims(space.get()) != 2 ||
        H5Sget_simple_extent_dims(space.get(), shape_.data(), nullptr) != 2)
      fail("expected two dimensions, one row per image");
    const HdfHandle type(H5Dget_type(data_.get()), H5Tclose);
    if (H5Tget_class(type.get()) != H5T_FLOAT) fail("expected elements that are floats");
  }
  [[nodiscard]] std::int64_t rows() const override {
    return static_cast<std::int64_t>(std::min<hsize_t>(shape_[0], hsize_t{1} << 40U));
  }
  [[nodiscard]] std::int64_t columns() const override {
    return static_cast<std::int64_t>(std::min<hsize_t>(shape_[1], hsize_t{1} << 40U));
  }
  void read_row(std::int64_t row, std::span<float> values) override {
    const std::array<hsize_t, 2> start = {static_cast<hsize_t>(row), 0};
    const std::array<hsize_t, 2> count = {1, shape_[1]};
    const HdfHandle memory(H5Screate_simple(2, count.data(), nullptr), H5Sclose);
    const HdfHandle disk(H5Dget_space(data_.get()), H5Sclose);
    if (H5Sselect_hyperslab(disk.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(),
                            nullptr) < 0 ||
        H5Dread(data_.get(), H5T_NATIVE_FLOAT, memory.get(), disk.get(), H5P_DEFAULT,
                values.data()) < 0)
      fail("row " + std::to_string(row) + " cannot be read; the file is corrupted");
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw PruneError(path_ + ": " + dataset_ + ": " + what);
  }

  /// Every step of the path lies in this file: a soft or external link could lead anywhere.
  void check_links() const {
    if (dataset_.empty()) fail("no name of a dataset");
    for (std::size_t end = dataset_.find('/', 1);; end = dataset_.find('/', end + 1)) {
      H5L_info_t link;
      if (H5Lget_info(file_.get(), dataset_.substr(0, end).c_str(), &link, H5P_DEFAULT) < 0)
        fail("no such dataset (eval.features_dataset names it)");
      if (link.type != H5L_TYPE_HARD) fail("is a link, expected a dataset of this file");
      if (end == std::string::npos) return;
    }
  }
  void check_layout() const {
    const HdfHandle properties(H5Dget_create_plist(data_.get()), H5Pclose);
    const H5D_layout_t layout = H5Pget_layout(properties.get());
    const bool inside = layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED;
    if (!inside || H5Pget_external_count(properties.get()) != 0)
      fail("data lies outside this file");
  }

  prune::HdfQuiet quiet_;
  std::string path_;
  std::string dataset_;
  HdfHandle file_;
  HdfHandle data_;
  std::array<hsize_t, 2> shape_{};
};

}  // namespace

FeatureFile::FeatureFile(const std::string& path, const std::string& dataset) {
  if (prune::is_hdf5_file(path))
    source_ = std::make_unique<HdfSource>(path, dataset);
  else
    source_ = std::make_unique<NpySource>(path);
  if (rows() < 1 || columns() < 1 || columns() > kMostColumns)
    throw PruneError(path + ": features of shape (" + std::to_string(rows()) + ", " +
                     std::to_string(columns()) + "), expected 1 or more rows of 1 to " +
                     std::to_string(kMostColumns) + " numbers");
}

FeatureFile::~FeatureFile() = default;

std::int64_t FeatureFile::rows() const {
  return source_->rows();
}

std::int64_t FeatureFile::columns() const {
  return source_->columns();
}

void FeatureFile::read_row(std::int64_t row, std::span<float> values) {
  source_->read_row(row, values);
}

}  // namespace diffprob::launch
