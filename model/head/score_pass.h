#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/kernels/block_workers.h"
#include "model/softmax/score_kernels.h"

namespace diffprob::model {

/// A row's cosine as an integer that orders as the cosines do (not-a-number above all), with the
/// class below it: of equal cosines the lowest class has the largest key. A maximum of keys is
/// exact, whatever the order in which it is taken.
[[nodiscard]] std::int64_t cosine_key(float cosine, std::int64_t class_id);
[[nodiscard]] float cosine_of_key(std::int64_t key);
/// -1 for the key of no class (cosine -inf).
[[nodiscard]] std::int64_t class_of_key(std::int64_t key);

/// cosine_key() of cosines [n] float32 to target classes -> [n] int64.
[[nodiscard]] at::Tensor target_keys(const at::Tensor& cosines);

/// Binary digits behind the point of sums over `num_classes` terms of at most 1, which fit an
/// int64: 40 up to 4 million classes.
[[nodiscard]] int fraction_bits(std::int64_t num_classes);

/// This rank's part of scoring some rows: cosines to its classes and what they come to, in three
/// steps between which the ranks exchange O(rows) integers. Maxima are exact; sums are integers,
/// each term rounded alike. On a CPU all of it has the same bits however the classes are split over
/// ranks: products are made in blocks of fixed shape, cut by class and row number, the borders
/// filled up with zeros, each on one thread. On other devices the classes of a rank are cut into
/// equal blocks, and all rows go together. Keeps the cosines from the first step to the last: 4
/// bytes * rows * C_r, on a CPU for two blocks of classes more.
class ScorePass {
 public:
  /// weight [C_r, D] float32 or bfloat16: rows first_class .. of all classes. workers: for host
  /// tensors, null for those of other devices (LibTorch's operators; on the host tests compare the
  /// two). absent [C_r] bool, or undefined: classes whose cosine to every row is -1.
  ScorePass(const at::Tensor& weight, std::int64_t first_class, BlockWorkers* workers,
            at::Tensor absent = {});

  /// Rows per block: 1 where rows are not padded.
  [[nodiscard]] static std::int64_t block_rows(at::Device device);
  /// The most rows at a time whose cosines stay within `elements`, at least one block; the same on
  /// all ranks.
  [[nodiscard]] static std::int64_t rows_at_once(std::int64_t num_classes, int world_size,
                                                 std::int64_t elements, at::Device device);

  /// x [n, D] float32 normalised rows, labels [n] int64 -> [2, n] int64: key of the largest cosine
  /// to a non-target class, and of the target class's cosine, that of no class where it is
  /// elsewhere. To be maximised over ranks. place: of the first row in its block; rows before it
  /// are filled up with zeros, too.
  [[nodiscard]] at::Tensor maxima(const at::Tensor& x, const at::Tensor& labels,
                                  std::int64_t place);
  /// first [n]: the largest keys of all ranks -> [n] int64, keys of the next largest. To be
  /// maximised over ranks.
  [[nodiscard]] at::Tensor second_maxima(const at::Tensor& first) const;
  /// second [n]: of all ranks -> [3, n] int64, FixedSums over all non-target classes but the first,
  /// relative to the second. To be added over ranks. The cosines are used up.
  [[nodiscard]] at::Tensor sums(const at::Tensor& first, const at::Tensor& second, double scale,
                                int bits);

 private:
  [[nodiscard]] std::int64_t block_start(std::int64_t block) const {
    return first_start_ + block * block_classes_;
  }
  /// Products of all rows and the classes of a block, into its slice of cosines_; the inverse norms
  /// of its centres.
  [[nodiscard]] at::Tensor make_products(std::int64_t block);
  void for_each_block(const std::function<void(std::int64_t)>& work);
  [[nodiscard]] std::int64_t rows_of_block() const;
  /// [n, block_classes_]: cosines of the rows to the classes of a block.
  [[nodiscard]] at::Tensor cosines_of(std::int64_t block) const {
    return cosines_.select(0, block).narrow(0, place_, rows_);
  }
  [[nodiscard]] host::CosineBlock host_block(std::int64_t block) const;
  void host_maxima(std::int64_t block, const at::Tensor& labels);
  void device_maxima(std::int64_t block, const at::Tensor& labels);
  void host_sums(std::int64_t block, const at::Tensor& first, const at::Tensor& references,
                 host::FixedSums* sums, double scale, int bits);
  [[nodiscard]] at::Tensor device_sums(std::int64_t block, const at::Tensor& first,
                                       const at::Tensor& references, double scale, int bits);

  at::Tensor weight_;
  at::Tensor absent_;
  std::int64_t first_class_;
  std::int64_t last_class_;
  BlockWorkers* workers_;
  std::int64_t block_classes_;
  /// First class of the first block; on a CPU a multiple of block_classes_.
  std::int64_t first_start_;
  std::int64_t blocks_ = 0;
  at::Tensor x_;  // [whole blocks of rows, D]
  std::int64_t place_ = 0;
  std::int64_t rows_ = 0;
  at::Tensor cosines_;                       // [blocks, whole blocks of rows, block_classes_]
  std::vector<host::RowExtremes> extremes_;  // host: [blocks, n]
  at::Tensor keys_;                          // [3, n]: first, second, target
};

}  // namespace diffprob::model
