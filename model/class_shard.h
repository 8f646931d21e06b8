#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// Where the own classes of samples [n] lie in a tensor over this rank's classes [n, C_r]: at most one element a row. Without host
/// synchronisation: rows of other ranks point anywhere and are masked.
class TargetElements {
 public:
  TargetElements(const at::Tensor& labels, std::int64_t first_class, std::int64_t local_classes);
  /// [n]: the elements, `elsewhere` where another rank has the class.
  [[nodiscard]] at::Tensor take(const at::Tensor& over_classes, double elsewhere) const;
  /// Sets the elements that are here. values [n], or a number.
  void put(at::Tensor over_classes, const at::Tensor& values) const;
  void put(at::Tensor over_classes, double value) const;

 private:
  at::Tensor here_;    // [n] bool
  at::Tensor column_;  // [n, 1]
  bool empty_;
};

/// Largest value of each row of [n, C_r] and its class, lowest class among equals; -inf and -1 when C_r is 0.
struct RowMaxima {
  at::Tensor value;     ///< [n]
  at::Tensor class_id;  ///< [n] int64, global
};
[[nodiscard]] RowMaxima row_maxima(const at::Tensor& over_classes, std::int64_t first_class);

}  // namespace diffprob::model
