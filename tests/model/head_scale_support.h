#pragma once

#include <numeric>
#include <vector>

#include "model/head/head_sgd.h"
#include "tests/model/head_test_support.h"

namespace diffprob::tests {

/// One rank's head with options of its own, over a problem that all ranks know.
class ScaledHead {
 public:
  ScaledHead(HeadProblem problem, model::HeadOptions options, dist::Communicator& communicator,
             Deal deal = Deal::kUneven)
      : problem_(std::move(problem)),
        rank_(static_cast<std::size_t>(communicator.rank())),
        world_size_(communicator.world_size()),
        deal_(deal),
        head_(with_sizes(options, problem_), communicator) {
    head_.weight().copy_(own_classes(problem_.weight));
  }
  [[nodiscard]] model::HeadStep step(const model::HeadStepOptions& options = {}) {
    return step(problem_.embeddings, problem_.labels, options);
  }
  /// On another batch.
  [[nodiscard]] model::HeadStep step(const torch::Tensor& embeddings, const torch::Tensor& labels,
                                     const model::HeadStepOptions& options) {
    model::HeadStepOptions there = options;
    there.loss_scale = on_device(options.loss_scale);
    const auto counts = deal_rows(labels.size(0), deal_, world_size_);
    return on_host(
        head_.forward_backward(on_device(own(embeddings)), on_device(own(labels)), counts, there));
  }
  [[nodiscard]] torch::Tensor own(const torch::Tensor& whole) const {
    const auto counts = deal_rows(whole.size(0), deal_, world_size_);
    return whole.narrow(
        0,
        std::accumulate(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(rank_),
                        std::int64_t{0}),
        counts[rank_]);
  }
  [[nodiscard]] torch::Tensor own_classes(const torch::Tensor& whole) const {
    return whole.narrow(0, head_.first_class(), head_.local_classes());
  }
  [[nodiscard]] model::ShardedHead& head() { return head_; }

 private:
  static model::HeadOptions with_sizes(model::HeadOptions options, const HeadProblem& problem) {
    options.num_classes = problem.weight.size(0);
    options.embedding_dim = problem.weight.size(1);
    return options;
  }
  HeadProblem problem_;
  std::size_t rank_;
  int world_size_;
  Deal deal_;
  model::ShardedHead head_;
};

/// Keeps the gradients it is given, on the host; rows must come once.
class KeptGradients : public model::HeadUpdate {
 public:
  explicit KeptGradients(const torch::Tensor& weight)
      : whole(torch::zeros(weight.sizes(), torch::kFloat)),
        times(torch::zeros({weight.size(0)}, torch::kLong)) {}
  void update_rows(const model::RowGradients& rows) override {
    const auto index = rows.rows.defined()
                           ? rows.rows.cpu()
                           : torch::arange(rows.first, rows.first + rows.gradient.size(0));
    whole.index_add_(0, index, rows.gradient.cpu());
    times.index_add_(0, index, torch::ones_like(index));
  }
  torch::Tensor whole;  ///< [C_r, D]
  torch::Tensor times;  ///< [C_r]
};

/// Some samples near their centre, some not, some far away.
inline HeadProblem mixed_problem(std::int64_t rows, std::int64_t classes, std::int64_t dim,
                                 std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  HeadProblem problem;
  problem.weight = torch::randn({classes, dim}, generator) * 0.01;
  problem.labels = torch::randint(classes, {rows}, generator, torch::kLong);
  const auto pull = torch::randn({rows, 1}, generator) * 3.0;
  problem.embeddings = (torch::randn({rows, dim}, generator) +
                        pull * 100.0 * problem.weight.index_select(0, problem.labels)) *
                       5.0;
  return problem;
}

}  // namespace diffprob::tests
