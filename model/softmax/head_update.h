#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// Gradients of some class rows of this rank's shard.
struct RowGradients {
  std::int64_t first = 0;  ///< first row, when `rows` is undefined
  at::Tensor rows;  ///< [n] int64, ascending, when the classes were sampled; undefined: rows first
                    ///< .. first + n - 1
  at::Tensor gradient;         ///< [n, D] float32; the receiver may overwrite it
  at::Tensor inverse_norms{};  ///< [n] float32, 1 / |centre|, for a receiver that projects(); else
                               ///< undefined
};

/// An optimiser of class centres that takes gradients in pieces, so that a gradient the size of the
/// shard need not exist. A row comes at most once a step; rows that do not come took no part in the
/// step and must not change.
class HeadUpdate {
 public:
  virtual ~HeadUpdate() = default;
  virtual void update_rows(const RowGradients& rows) = 0;
  /// True: update_rows itself takes off the part of each gradient that lies along its centre
  /// (project_off_centres).
  [[nodiscard]] virtual bool projects() const noexcept { return false; }

 protected:
  HeadUpdate() = default;
  HeadUpdate(const HeadUpdate&) = default;
  HeadUpdate& operator=(const HeadUpdate&) = default;
};

}  // namespace diffprob::model
