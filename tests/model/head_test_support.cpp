#include "tests/model/head_test_support.h"

#include <limits>
#include <numeric>

#include <torch/nn/functional/loss.h>
#include <torch/nn/functional/normalization.h>

namespace diffprob::tests {
namespace F = torch::nn::functional;

SlowHead slow_head(const HeadProblem& problem, const model::MarginOptions& margin) {
  const auto e = problem.embeddings.detach()
                     .to(torch::kDouble, /*non_blocking=*/false, /*copy=*/true)
                     .set_requires_grad(true);
  const auto w = problem.weight.detach()
                     .to(torch::kDouble, /*non_blocking=*/false, /*copy=*/true)
                     .set_requires_grad(true);
  const auto cosines = F::normalize(e, F::NormalizeFuncOptions().dim(1))
                           .mm(F::normalize(w, F::NormalizeFuncOptions().dim(1)).t())
                           .clamp(-1, 1);
  const auto own = torch::one_hot(problem.labels, problem.weight.size(0)).to(torch::kDouble);
  const double m = margin.kind == model::MarginKind::kCosFace ? margin.margin : 0.0;
  const auto logits = margin.scale * (cosines - m * own);
  auto losses = F::cross_entropy(logits, problem.labels,
                                 F::CrossEntropyFuncOptions().reduction(torch::kNone));
  if (problem.row_weights.defined()) losses = losses * problem.row_weights.to(torch::kDouble);
  const auto loss = losses.mean();
  loss.backward();
  return {loss.detach(), e.grad(), w.grad(), (logits.softmax(1) * own).sum(1).detach(),
          cosines.detach()};
}

namespace {

torch::Tensor unit_rows(const torch::Tensor& rows) {
  return F::normalize(rows.to(torch::kDouble), F::NormalizeFuncOptions().dim(1));
}

/// Gradient of unit_rows(rows) -> gradient of rows.
torch::Tensor unit_rows_backward(const torch::Tensor& gradient, const torch::Tensor& rows) {
  const auto unit = unit_rows(rows);
  return (gradient - unit * (gradient * unit).sum(1, true)) /
         rows.to(torch::kDouble).norm(2, 1, true);
}

class DoneWork final : public dist::Work {
 public:
  void wait_stream() override {}
  void wait_host() override {}
};

class SoloCommunicator final : public dist::Communicator {
 public:
  SoloCommunicator() : Communicator(0, 1, test_device(), {}) {}
  void abort() noexcept override {}

 private:
  static std::unique_ptr<dist::Work> copied(torch::Tensor output, const torch::Tensor& input) {
    output.copy_(input.view(output.sizes()));
    return std::make_unique<DoneWork>();
  }
  std::unique_ptr<dist::Work> do_all_reduce(at::Tensor /*tensor*/, dist::ReduceOp /*op*/) override {
    return std::make_unique<DoneWork>();
  }
  std::unique_ptr<dist::Work> do_all_gather_v(at::Tensor output, at::Tensor input,
                                              std::vector<std::int64_t> /*counts*/) override {
    return copied(output, input);
  }
  std::unique_ptr<dist::Work> do_reduce_scatter_v(at::Tensor output, at::Tensor input,
                                                  std::vector<std::int64_t> /*counts*/) override {
    return copied(output, input);
  }
  std::unique_ptr<dist::Work> do_broadcast(at::Tensor /*tensor*/, int /*root*/) override {
    return std::make_unique<DoneWork>();
  }
  std::unique_ptr<dist::Work> do_barrier() override { return std::make_unique<DoneWork>(); }
};

}  // namespace

std::unique_ptr<dist::Communicator> make_solo_communicator() {
  return std::make_unique<SoloCommunicator>();
}

torch::Tensor dense_cosines(const HeadProblem& problem) {
  return unit_rows(problem.embeddings).mm(unit_rows(problem.weight).t()).clamp(-1, 1);
}

DenseHead dense_head(const HeadProblem& problem, model::Margin& margin, std::uint64_t key) {
  const auto cosines = dense_cosines(problem);  // [B, C]
  const auto norms = problem.embeddings.to(torch::kDouble).norm(2, 1);
  const auto own = torch::one_hot(problem.labels, problem.weight.size(0)).to(torch::kBool);
  const double scale = margin.options().scale;
  const auto target = margin.target({cosines.masked_select(own), norms, key});
  const auto others = cosines.masked_fill(own, -std::numeric_limits<double>::infinity());
  const auto slope =
      torch::where(own, target.slope.unsqueeze(1), margin.non_target_slope(others) * scale);
  const auto effective = others.clone();
  if (margin.changes_non_targets()) margin.non_targets(effective);

  DenseHead head;
  head.logits = torch::where(own, target.logits.unsqueeze(1), effective * scale);
  const auto log_probability = head.logits.log_softmax(1).masked_select(own);
  head.loss = log_probability.mean().neg();
  head.probability = log_probability.exp();
  const auto to_cosines =
      (head.logits.softmax(1) - own.to(torch::kDouble)) * slope / static_cast<double>(own.size(0));
  head.grad_embeddings =
      unit_rows_backward(to_cosines.mm(unit_rows(problem.weight)), problem.embeddings);
  head.grad_weight =
      unit_rows_backward(to_cosines.t().mm(unit_rows(problem.embeddings)), problem.weight);
  return head;
}

std::vector<std::int64_t> deal_rows(std::int64_t rows, Deal deal, int world_size) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world_size), 0);
  const std::size_t first = deal == Deal::kFirstEmpty && world_size > 1 ? 1 : 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t place = deal == Deal::kUneven ? row * row / rows : row;
    const std::size_t ranks = counts.size() - first;
    const auto rank =
        first + static_cast<std::size_t>(place * static_cast<std::int64_t>(ranks) / rows);
    ++counts[deal == Deal::kAllOnLast ? counts.size() - 1 : rank];
  }
  return counts;
}

HeadUnderTest::HeadUnderTest(const HeadProblem& problem, model::MarginOptions margin,
                             dist::Communicator& communicator, Deal deal)
    : problem_(problem),
      rank_(static_cast<std::size_t>(communicator.rank())),
      counts_(deal_rows(problem.labels.size(0), deal, communicator.world_size())),
      first_row_(
          std::accumulate(counts_.begin(), counts_.begin() + communicator.rank(), std::int64_t{0})),
      head_({.num_classes = problem.weight.size(0),
             .embedding_dim = problem.weight.size(1),
             .margin = margin,
             .seed = 1},
            communicator) {
  head_.weight().copy_(own_classes(problem.weight));
}

torch::Tensor on_device(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.to(test_device()) : tensor;
}

model::HeadStep on_host(model::HeadStep step) {
  for (auto* tensor :
       {&step.loss, &step.grad_embeddings, &step.probability, &step.correct, &step.label_margin})
    *tensor = tensor->cpu();
  return step;
}

model::HeadScores on_host(model::HeadScores scores) {
  for (auto* tensor :
       {&scores.nll, &scores.probability, &scores.top1, &scores.top1_log_prob,
        &scores.second_log_prob, &scores.sum_p2, &scores.entropy, &scores.cosine, &scores.norm}) {
    *tensor = tensor->cpu();
  }
  return scores;
}

double largest(const torch::Tensor& values) {
  return values.numel() == 0 ? 0.0 : values.abs().max().item<double>();
}

double distance(const torch::Tensor& a, const torch::Tensor& b, double scale) {
  if (!a.isfinite().all().item<bool>()) return std::numeric_limits<double>::infinity();
  return largest(a.cpu().to(torch::kDouble) - b.cpu().to(torch::kDouble)) / scale;
}

double elementwise_distance(const torch::Tensor& a, const torch::Tensor& b, double floor) {
  if (!a.isfinite().all().item<bool>()) return std::numeric_limits<double>::infinity();
  const auto wanted = b.cpu().to(torch::kDouble);
  return largest((a.cpu().to(torch::kDouble) - wanted) / (wanted.abs() + floor));
}

bool same_on_all_ranks(const torch::Tensor& values, dist::Communicator& communicator) {
  const auto own = values.to(communicator.device()).contiguous().reshape({1, -1});
  const auto all = torch::empty({communicator.world_size(), own.size(1)}, own.options());
  communicator.all_gather(all, own)->wait_host();
  return torch::equal(all, own.expand_as(all));
}

torch::Tensor golden_tensor(const Golden& golden, const std::string& dataset) {
  return torch::tensor(golden.floats(dataset)).reshape(golden.shape(dataset));
}

torch::Tensor golden_tensor64(const Golden& golden, const std::string& dataset) {
  return torch::tensor(golden.doubles(dataset), torch::kDouble).reshape(golden.shape(dataset));
}

torch::Tensor golden_ids(const Golden& golden, const std::string& dataset) {
  return torch::tensor(golden.integers(dataset), torch::kLong).reshape(golden.shape(dataset));
}

}  // namespace diffprob::tests
