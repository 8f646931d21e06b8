#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/types.h>

#include "dist/communicator.h"
#include "model/head/sharded_head.h"
#include "tests/support/golden.h"
#include "tests/support/test_device.h"

namespace diffprob::tests {

/// A whole batch and all class centres, the same on every rank.
struct HeadProblem {
  torch::Tensor embeddings;     ///< [B, D] float32
  torch::Tensor labels;         ///< [B] int64
  torch::Tensor weight;         ///< [C, D] float32
  torch::Tensor row_weights{};  ///< [B] float32, of the losses; undefined: 1
};

/// Loss, gradients and probabilities of a replicated head by autograd in float64, from the
/// definition.
struct SlowHead {
  torch::Tensor loss;             ///< []
  torch::Tensor grad_embeddings;  ///< [B, D]
  torch::Tensor grad_weight;      ///< [C, D]
  torch::Tensor probability;      ///< [B], with margin
  torch::Tensor cosines;          ///< [B, C]
};
[[nodiscard]] SlowHead slow_head(const HeadProblem& problem, const model::MarginOptions& margin);

/// A replicated head in float64 around a Margin: logits and slopes are the margin's, the rest is
/// the definition. No autograd.
struct DenseHead {
  torch::Tensor loss;             ///< []
  torch::Tensor grad_embeddings;  ///< [B, D]
  torch::Tensor grad_weight;      ///< [C, D]
  torch::Tensor probability;      ///< [B]
  torch::Tensor logits;           ///< [B, C]
};
[[nodiscard]] DenseHead dense_head(const HeadProblem& problem, model::Margin& margin,
                                   std::uint64_t key = 0);
/// Cosines [B, C] float64.
[[nodiscard]] torch::Tensor dense_cosines(const HeadProblem& problem);

/// A world of one, whatever the number of processes.
[[nodiscard]] std::unique_ptr<dist::Communicator> make_solo_communicator();

/// How the rows of a batch are dealt to ranks.
enum class Deal { kEven, kUneven, kFirstEmpty, kAllOnLast };
[[nodiscard]] std::vector<std::int64_t> deal_rows(std::int64_t rows, Deal deal, int world_size);

/// The problem lives on the host, the head on test_device(); what comes back is on the host again.
[[nodiscard]] torch::Tensor on_device(const torch::Tensor& tensor);
[[nodiscard]] model::HeadStep on_host(model::HeadStep step);
[[nodiscard]] model::HeadScores on_host(model::HeadScores scores);

/// One rank's view of a problem.
class HeadUnderTest {
 public:
  HeadUnderTest(const HeadProblem& problem, model::MarginOptions margin,
                dist::Communicator& communicator, Deal deal = Deal::kEven);
  [[nodiscard]] model::HeadStep step(std::uint64_t key = 0) {
    model::HeadStepOptions options;
    options.key = key;
    if (problem_.row_weights.defined()) options.row_weights = on_device(own(problem_.row_weights));
    return on_host(head_.forward_backward(on_device(own(problem_.embeddings)),
                                          on_device(own(problem_.labels)), counts_, options));
  }
  /// Embeddings and labels of later steps; as many rows as before.
  void next_batch(const HeadProblem& batch) {
    problem_.embeddings = batch.embeddings;
    problem_.labels = batch.labels;
  }
  [[nodiscard]] model::HeadScores score(const model::MarginOptions& margin) {
    return on_host(head_.score(on_device(own(problem_.embeddings)), on_device(own(problem_.labels)),
                               counts_, margin));
  }
  /// Own rows of the batch, own rows of the classes.
  [[nodiscard]] torch::Tensor own(const torch::Tensor& whole) const {
    return whole.narrow(0, first_row_, counts_[rank_]);
  }
  [[nodiscard]] torch::Tensor own_classes(const torch::Tensor& whole) const {
    return whole.narrow(0, head_.first_class(), head_.local_classes());
  }
  [[nodiscard]] model::ShardedHead& head() { return head_; }
  [[nodiscard]] const std::vector<std::int64_t>& counts() const { return counts_; }

 private:
  HeadProblem problem_;
  std::size_t rank_;
  std::vector<std::int64_t> counts_;
  std::int64_t first_row_;
  model::ShardedHead head_;
};

/// max |a - b| / scale; infinite when a value is not finite, 0 when there are none.
[[nodiscard]] double distance(const torch::Tensor& a, const torch::Tensor& b, double scale = 1.0);
/// max of |a - b| / (|b| + floor), element by element.
[[nodiscard]] double elementwise_distance(const torch::Tensor& a, const torch::Tensor& b,
                                          double floor);
[[nodiscard]] double largest(const torch::Tensor& values);
/// Whether the bytes are the same on every rank. Collective.
[[nodiscard]] bool same_on_all_ranks(const torch::Tensor& values, dist::Communicator& communicator);

[[nodiscard]] torch::Tensor golden_tensor(const Golden& golden,
                                          const std::string& dataset);  ///< float32
[[nodiscard]] torch::Tensor golden_tensor64(const Golden& golden, const std::string& dataset);
[[nodiscard]] torch::Tensor golden_ids(const Golden& golden, const std::string& dataset);

}  // namespace diffprob::tests
