#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/head_files/head_entry.h"

namespace diffprob::model {

/// Class centres in one file, or cut into rows of several, whoever wrote them. Row k is the centre
/// of class k. Files with ranks in their names are taken in the order of the ranks, others in the
/// order given; a folder stands for the files of class centres in it.
class HeadFiles {
 public:
  /// Reads the shapes, no values. `embedding_dim`: expected D; 0: unknown. Throws data::DataError
  /// or c10::Error naming the file.
  explicit HeadFiles(const std::vector<std::string>& paths, std::int64_t embedding_dim = 0);

  [[nodiscard]] std::int64_t num_classes() const noexcept { return num_classes_; }
  [[nodiscard]] std::int64_t embedding_dim() const noexcept { return embedding_dim_; }
  [[nodiscard]] const std::vector<std::string>& paths() const noexcept { return paths_; }
  /// "checkpoint_gpu_0.pt (state_dict_softmax_fc.weight) and 7 more", for messages.
  [[nodiscard]] std::string text() const;

  /// Copies classes [first, first + into.size(0)) into `into` [n, D], of any float type, on any
  /// device. Of the files only those that hold such rows are read, one at a time. Throws as above,
  /// also for a value that is not finite.
  void read(std::int64_t first, const at::Tensor& into) const;

 private:
  struct Shard {
    HeadEntry entry;
    std::int64_t first_class = 0;
  };
  void read_shard(std::size_t index, std::int64_t first, const at::Tensor& into) const;

  std::vector<std::string> paths_;
  std::vector<Shard> shards_;
  std::int64_t num_classes_ = 0;
  std::int64_t embedding_dim_ = 0;
};

}  // namespace diffprob::model
