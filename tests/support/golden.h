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
  /// Names of the attributes of a group or dataset that start with `prefix`, sorted.
  [[nodiscard]] std::vector<std::string> attributes(const std::string& object,
                                                    const std::string& prefix = "") const;
  [[nodiscard]] bool has_attribute(const std::string& object, const std::string& name) const;
  [[nodiscard]] double number(const std::string& object, const std::string& name) const;
  [[nodiscard]] double number_or(const std::string& object, const std::string& name,
                                 double fallback) const;
  [[nodiscard]] std::string text(const std::string& object, const std::string& name) const;

  /// True if the file has the float64 run of a dataset, named with the suffix `_f64`.
  [[nodiscard]] bool has_float64(const std::string& dataset) const { return has(dataset + "_f64"); }
  /// Values of the float64 run where the file has it, else of the float32 run.
  [[nodiscard]] std::vector<double> reference(const std::string& dataset) const;
  /// |float32 run - float64 run| of every element; empty if the file lacks one of the two.
  [[nodiscard]] std::vector<double> rounding(const std::string& dataset) const;
  /// The same divided by the largest |float64 value|.
  [[nodiscard]] std::vector<double> relative_rounding(const std::string& dataset) const;
  /// The same divided by each element's own |float64 value|, for elements with a value above
  /// `smallest`.
  [[nodiscard]] std::vector<double> elementwise_rounding(const std::string& dataset,
                                                         double smallest = 0) const;

 private:
  template <class T>
  std::vector<T> read(const std::string& dataset, hid_t type) const;
  hid_t file_;
};

/// Own float32 results may be this many times as far from the float64 run of the reference as its
/// float32 run is: other orders of summation round differently, and a difference early in a network
/// grows through its layers.
inline constexpr double kRoundingFactor = 10;

/// Tolerance of a float32 result: kRoundingFactor times the rounding that the file shows, plus
/// `floor`. `rounding` has the differences of the file's float32 and float64 runs on the scale of
/// the comparison. The largest of them does not count, so that one wrong number in the file cannot
/// widen the tolerance that should find it; the test fails if that one is beyond kRoundingFactor
/// times the tolerance, as one of the two runs is wrong then. Where the file has fewer than two
/// differences the result is `published`, the tolerance that the golden README names.
[[nodiscard]] double float32_tolerance(std::vector<double> rounding, double floor, double published,
                                       const std::string& what);

/// Value at the end of an attribute's name: 0.001 for "val_at_far_1e-3" and the prefix
/// "val_at_far_".
[[nodiscard]] double number_in_name(const std::string& name, const std::string& prefix);

/// Prints that a part of the set is missing or cannot be compared, and why.
void print_skipped(const std::string& what, const std::string& why);

[[nodiscard]] nlohmann::json golden_json(const std::string& file_name);

/// u(seed, stream, i) of the golden README: [0, 1), exact in float32.
[[nodiscard]] double hash_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t i);

}  // namespace diffprob::tests
