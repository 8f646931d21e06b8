#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dist/communicator.h"

namespace diffprob::tests {

/// Counts what goes through another communicator: bytes of the longer of an operation's two
/// tensors, as network formulas count them.
class CountingCommunicator final : public dist::Communicator {
 public:
  explicit CountingCommunicator(dist::Communicator& inner)
      : Communicator(inner.rank(), inner.world_size(), inner.device(), {}), inner_(inner) {}
  void abort() noexcept override { inner_.abort(); }
  [[nodiscard]] const std::map<std::string, std::int64_t>& bytes() const { return bytes_; }
  [[nodiscard]] std::int64_t operations() const { return operations_; }
  void reset() {
    bytes_.clear();
    operations_ = 0;
  }

 private:
  void count(const std::string& kind, const at::Tensor& tensor) {
    bytes_[kind] += tensor.numel() * static_cast<std::int64_t>(tensor.element_size());
    ++operations_;
  }
  std::unique_ptr<dist::Work> do_all_reduce(at::Tensor tensor, dist::ReduceOp op) override {
    count("all_reduce", tensor);
    return inner_.all_reduce(tensor, op);
  }
  std::unique_ptr<dist::Work> do_all_gather_v(at::Tensor output, at::Tensor input,
                                              std::vector<std::int64_t> counts) override {
    count("all_gather", output);
    return inner_.all_gather_v(output, input, std::move(counts));
  }
  std::unique_ptr<dist::Work> do_reduce_scatter_v(at::Tensor output, at::Tensor input,
                                                  std::vector<std::int64_t> counts) override {
    count("reduce_scatter", input);
    return inner_.reduce_scatter_v(output, input, std::move(counts));
  }
  std::unique_ptr<dist::Work> do_broadcast(at::Tensor tensor, int root) override {
    count("broadcast", tensor);
    return inner_.broadcast(tensor, root);
  }
  std::unique_ptr<dist::Work> do_barrier() override { return inner_.barrier(); }

  dist::Communicator& inner_;
  std::map<std::string, std::int64_t> bytes_;
  std::int64_t operations_ = 0;
};

}  // namespace diffprob::tests
