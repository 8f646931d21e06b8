#include "tests/support/golden.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "data/keyed_random.h"

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
