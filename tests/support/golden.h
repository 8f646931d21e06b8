#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <hdf5.h>
#include <nlohmann/json.hpp>

namespace diffprob::tests {

/// Folder of the golden numbers: DIFFPROB_GOLDEN_DIR, else tests/golden of the source tree.
[[nodiscard]] std::string golden_dir();

/// Read-only view of one golden HDF5 file. Cases and sizes come from the file, never from the test.
class Golden {
 public:
  explicit Golden(const std::string& file_name);
  ~Golden();
  Golden(const Golden&) = delete;
  Golden& operator=(const Golden&) = delete;

  [[nodiscard]] bool has(const std::string& path) const;
  /// Names of the links in a group, sorted.
  [[nodiscard]] std::vector<std::string> names(const std::string& group) const;
  [[nodiscard]] std::vector<std::int64_t> shape(const std::string& dataset) const;
  [[nodiscard]] std::vector<float> floats(const std::string& dataset) const;
  [[nodiscard]] std::vector<double> doubles(const std::string& dataset) const;
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& dataset) const;
  [[nodiscard]] bool has_attribute(const std::string& object, const std::string& name) const;
  [[nodiscard]] double number(const std::string& object, const std::string& name) const;
  [[nodiscard]] std::string text(const std::string& object, const std::string& name) const;

 private:
  template <class T>
  std::vector<T> read(const std::string& dataset, hid_t type) const;
  hid_t file_;
};

[[nodiscard]] nlohmann::json golden_json(const std::string& file_name);

/// u(seed, stream, i) of the golden README: [0, 1), exact in float32.
[[nodiscard]] double hash_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t i);

}  // namespace diffprob::tests
