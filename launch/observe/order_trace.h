#pragma once

#include <cstdint>
#include <fstream>
#include <string>

#include <ATen/core/Tensor.h>

namespace diffprob::launch {

/// Sample indices of every batch of one rank: FOLDER/order.rankNNNNN.jsonl, a line
/// {"step":K,"indices":[...]} a step. To see, or to prove, what a training was fed.
class OrderTrace {
 public:
  /// Lines of steps from `first_step` on, left by a run that was killed, are taken out. Throws
  /// std::runtime_error naming the file.
  OrderTrace(const std::string& folder, int rank, std::int64_t first_step);
  void write(std::int64_t step, const at::Tensor& indices);

 private:
  std::string path_;
  std::ofstream file_;
};

}  // namespace diffprob::launch
