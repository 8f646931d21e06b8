#include "tests/support/golden.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <stdexcept>

#include <gtest/gtest.h>

#include "data/random/keyed_random.h"

namespace diffprob::tests {

std::string golden_dir() {
  if (const char* folder = std::getenv("DIFFPROB_GOLDEN_DIR")) return folder;
  const char* source = std::getenv("DIFFPROB_SOURCE_DIR");
  return std::string(source != nullptr ? source : ".") + "/tests/golden";
}

Golden::Golden(const std::string& file_name) {
  const std::string path = golden_dir() + "/" + file_name;
  file_ = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file_ < 0) throw std::runtime_error("cannot open golden file " + path);
}

Golden::~Golden() {
  H5Fclose(file_);
}

bool Golden::has(const std::string& path) const {
  // H5Lexists wants every step of the path to exist.
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    if (H5Lexists(file_, path.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

std::vector<std::string> Golden::names(const std::string& group) const {
  std::vector<std::string> result;
  const hid_t id = H5Gopen2(file_, group.c_str(), H5P_DEFAULT);
  if (id < 0) throw std::runtime_error("golden: no group " + group);
  H5G_info_t info;
  H5Gget_info(id, &info);
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    char name[256];
    H5Lget_name_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof(name), H5P_DEFAULT);
    result.emplace_back(name);
  }
  H5Gclose(id);
  std::sort(result.begin(), result.end());
  return result;
}

std::vector<std::int64_t> Golden::shape(const std::string& dataset) const {
  const hid_t id = H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT);
  if (id < 0) throw std::runtime_error("golden: no dataset " + dataset);
  const hid_t space = H5Dget_space(id);
  std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  H5Sclose(space);
  H5Dclose(id);
  return {dims.begin(), dims.end()};
}

template <class T>
std::vector<T> Golden::read(const std::string& dataset, hid_t type) const {
  std::size_t count = 1;
  for (const auto n : shape(dataset)) count *= static_cast<std::size_t>(n);
  std::vector<T> values(count);
  const hid_t id = H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT);
  const herr_t failed = H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(id);
  if (failed < 0) throw std::runtime_error("golden: cannot read " + dataset);
  return values;
}

std::vector<float> Golden::floats(const std::string& dataset) const {
  return read<float>(dataset, H5T_NATIVE_FLOAT);
}
std::vector<double> Golden::doubles(const std::string& dataset) const {
  return read<double>(dataset, H5T_NATIVE_DOUBLE);
}
std::vector<std::int64_t> Golden::integers(const std::string& dataset) const {
  return read<std::int64_t>(dataset, H5T_NATIVE_INT64);
}

std::vector<std::string> Golden::attributes(const std::string& object,
                                            const std::string& prefix) const {
  const hid_t id = H5Oopen(file_, object.c_str(), H5P_DEFAULT);
  if (id < 0) throw std::runtime_error("golden: no object " + object);
  std::vector<std::string> all;
  const auto add = [](hid_t /*object*/, const char* name, const H5A_info_t* /*info*/,
                      void* names) -> herr_t {
    static_cast<std::vector<std::string>*>(names)->emplace_back(name);
    return 0;
  };
  H5Aiterate2(id, H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &all);
  H5Oclose(id);
  std::erase_if(all, [&](const std::string& name) { return !name.starts_with(prefix); });
  std::sort(all.begin(), all.end());
  return all;
}

bool Golden::has_attribute(const std::string& object, const std::string& name) const {
  return H5Aexists_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

double Golden::number(const std::string& object, const std::string& name) const {
  const hid_t id = H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
  if (id < 0) throw std::runtime_error("golden: no attribute " + name + " on " + object);
  double value = 0;
  H5Aread(id, H5T_NATIVE_DOUBLE, &value);
  H5Aclose(id);
  return value;
}

double Golden::number_or(const std::string& object, const std::string& name,
                         double fallback) const {
  return has_attribute(object, name) ? number(object, name) : fallback;
}

std::string Golden::text(const std::string& object, const std::string& name) const {
  const hid_t id = H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
  if (id < 0) throw std::runtime_error("golden: no attribute " + name + " on " + object);
  const hid_t type = H5Aget_type(id);
  std::string value(H5Tget_size(type), '\0');
  H5Aread(id, type, value.data());
  H5Tclose(type);
  H5Aclose(id);
  value.resize(value.find_last_not_of('\0') + 1);
  return value;
}

std::vector<double> Golden::reference(const std::string& dataset) const {
  return doubles(has_float64(dataset) ? dataset + "_f64" : dataset);
}

std::vector<double> Golden::rounding(const std::string& dataset) const {
  if (!has(dataset) || !has_float64(dataset)) return {};
  auto differences = doubles(dataset);
  const auto exact = doubles(dataset + "_f64");
  if (differences.size() != exact.size())
    throw std::runtime_error("golden: " + dataset + " and its _f64 differ in size");
  for (std::size_t i = 0; i < exact.size(); ++i)
    differences[i] = std::abs(differences[i] - exact[i]);
  return differences;
}

std::vector<double> Golden::relative_rounding(const std::string& dataset) const {
  auto differences = rounding(dataset);
  if (differences.empty()) return {};
  double largest = 0;
  for (const double value : doubles(dataset + "_f64")) largest = std::max(largest, std::abs(value));
  for (double& difference : differences) difference /= largest;
  return differences;
}

std::vector<double> Golden::elementwise_rounding(const std::string& dataset,
                                                 double smallest) const {
  const auto differences = rounding(dataset);
  if (differences.empty()) return {};
  const auto exact = doubles(dataset + "_f64");
  std::vector<double> relative;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    if (std::abs(exact[i]) > smallest) relative.push_back(differences[i] / std::abs(exact[i]));
  }
  return relative;
}

double float32_tolerance(std::vector<double> rounding, double floor, double published,
                         const std::string& what) {
  if (rounding.size() < 2) return published;
  std::partial_sort(rounding.begin(), rounding.begin() + 2, rounding.end(), std::greater<>());
  const double tolerance = kRoundingFactor * rounding[1] + floor;
  EXPECT_LE(rounding[0], kRoundingFactor * tolerance)
      << what << ": the float32 and float64 runs of the golden file contradict each other";
  return tolerance;
}

double number_in_name(const std::string& name, const std::string& prefix) {
  std::size_t used = 0;
  const std::string rest = name.substr(prefix.size());
  const double value = std::stod(rest, &used);
  if (used != rest.size())
    throw std::runtime_error("golden: attribute " + name + " does not end in a number");
  return value;
}

void print_skipped(const std::string& what, const std::string& why) {
  std::printf("[ golden   ] skipped %s: %s\n", what.c_str(), why.c_str());
}

nlohmann::json golden_json(const std::string& file_name) {
  const std::string path = golden_dir() + "/" + file_name;
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot open golden file " + path);
  return nlohmann::json::parse(file);
}

double hash_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t i) {
  const std::uint64_t base = data::splitmix64(data::splitmix64(seed) + stream);
  return static_cast<double>(data::splitmix64(base + i) >> 40) * 0x1p-24;
}

}  // namespace diffprob::tests
