// Features made elsewhere: .npy and HDF5 are read alike; whatever is not two dimensions of floats
// in the file itself is refused.
#include "launch/evaluate/feature_file.h"

#include <hdf5.h>

#include <fstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/files/npy_file.h"
#include "tests/data/test_files.h"

namespace diffprob::launch {
namespace {

using data::test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void write_npy(const std::string& path, const std::string& descr, const std::string& shape,
               const std::string& data) {
  std::string text =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  std::string bytes = "\x93NUMPY";
  bytes += '\x01';
  bytes += '\0';
  bytes += static_cast<char>(text.size());
  bytes += '\0';
  std::ofstream(path, std::ios::binary) << bytes << text << data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// A file that HDF5 itself writes.
class Hdf {
 public:
  explicit Hdf(const std::string& path)
      : file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  ~Hdf() { H5Fclose(file); }
  template <class T>
  void dataset(const char* name, hid_t disk, hid_t memory, std::vector<hsize_t> shape,
               const std::vector<T>& values, bool packed = false) const {
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (packed) {
      H5Pset_chunk(properties, static_cast<int>(shape.size()), shape.data());
      H5Pset_deflate(properties, 6);
    }
    const hid_t data = H5Dcreate2(file, name, disk, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Dwrite(data, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(data);
    H5Pclose(properties);
    H5Sclose(space);
  }
  hid_t file;
};

std::vector<float> row_of(FeatureFile& file, std::int64_t row) {
  std::vector<float> values(static_cast<std::size_t>(file.columns()));
  file.read_row(row, values);
  return values;
}

class FeatureFiles : public ::testing::Test {
 protected:
  void expect_refused(const std::string& name, const std::string& dataset,
                      const std::string& said) const {
    try {
      FeatureFile file(folder / name, dataset);
      ADD_FAILURE() << name << " " << dataset << " was taken; expected: " << said;
    } catch (const prune::PruneError& e) {
      EXPECT_THAT(e.what(), HasSubstr(said));
      EXPECT_THAT(e.what(), HasSubstr(name));
    }
  }
  TemporaryFolder folder;
};

TEST_F(FeatureFiles, NpyAndHdf5GiveTheSameRows) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6.5F};
  write_npy(folder / "a.npy", "<f4", "(2, 3)", raw(values));
  write_npy(folder / "b.npy", "<f8", "(2, 3)",
            raw(std::vector<double>(values.begin(), values.end())));
  {
    const Hdf hdf(folder / "a.h5");
    hdf.dataset("features", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2, 3}, values);
    hdf.dataset("big_endian", H5T_IEEE_F64BE, H5T_NATIVE_FLOAT, {2, 3}, values);
    H5Gclose(H5Gcreate2(hdf.file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    hdf.dataset("group/packed", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2, 3}, values, true);
  }
  for (const auto& [name, dataset] : {std::pair{"a.npy", ""},
                                      {"b.npy", ""},
                                      {"a.h5", "features"},
                                      {"a.h5", "big_endian"},
                                      {"a.h5", "group/packed"}}) {
    FeatureFile file(folder / name, dataset);
    SCOPED_TRACE(std::string(name) + " " + dataset);
    EXPECT_EQ(file.rows(), 2);
    EXPECT_EQ(file.columns(), 3);
    EXPECT_THAT(row_of(file, 1), ElementsAre(4, 5, 6.5F));
    EXPECT_THAT(row_of(file, 0), ElementsAre(1, 2, 3));
  }
}

TEST_F(FeatureFiles, RefusesWhatIsNotRowsOfFloats) {
  write_npy(folder / "flat.npy", "<f4", "(2,)", raw(std::vector<float>{1, 2}));
  write_npy(folder / "whole.npy", "<i8", "(1, 2)", raw(std::vector<std::int64_t>{1, 2}));
  write_npy(folder / "cut.npy", "<f4", "(2, 3)", raw(std::vector<float>{1, 2}));
  write_npy(folder / "none.npy", "<f4", "(0, 3)", "");
  std::ofstream(folder / "text.txt") << "1 2 3\n";
  expect_refused("flat.npy", "", "two-dimensional");
  expect_refused("whole.npy", "", "floats");
  expect_refused("cut.npy", "", "truncated");
  expect_refused("none.npy", "", "(0, 3)");
  expect_refused("text.txt", "", "not a .npy file");
  expect_refused("missing.npy", "", "cannot open");
  {
    const Hdf hdf(folder / "a.h5");
    hdf.dataset("flat", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2}, std::vector<float>{1, 2});
    hdf.dataset("whole", H5T_STD_I32LE, H5T_NATIVE_INT, {1, 2}, std::vector<int>{1, 2});
    H5Lcreate_soft("/flat", hdf.file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("other.h5", "/features", hdf.file, "external", H5P_DEFAULT, H5P_DEFAULT);
  }
  expect_refused("a.h5", "features", "no such dataset");
  expect_refused("a.h5", "flat", "two dimensions");
  expect_refused("a.h5", "whole", "floats");
  expect_refused("a.h5", "soft", "link");
  expect_refused("a.h5", "external", "link");
  expect_refused("a.h5", "", "no name");
  std::filesystem::resize_file(folder / "a.h5", 600);
  expect_refused("a.h5", "flat", "not a whole HDF5 file");
}

}  // namespace
}  // namespace diffprob::launch
