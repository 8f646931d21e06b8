// Whole training steps against train_steps.h5: backbone, sharded head, clipping and SGD together, then the scores of the trained model.
#include <map>

#include "model/backbone.h"
#include "model/gradient_clip.h"
#include "model/sgd.h"
#include "tests/model/head_test_support.h"

namespace diffprob::tests {
namespace {

struct Entry {
  std::int64_t k;
  std::string name;
  torch::Tensor tensor;
};

/// fill(seed) of the golden README for element i of one entry.
double fill_value(const Entry& entry, double u) {
  const auto ends = [&](const char* tail) { return entry.name.ends_with(tail); };
  if (ends("running_mean") || ends("bias")) return (u - 0.5) * 0.125;
  if (ends("running_var")) return 0.75 + 0.5 * u;
  if (entry.name.find("prelu") != std::string::npos) return 0.25 + 0.125 * (u - 0.5);
  if (entry.tensor.dim() < 2) return 0.75 + 0.5 * u;
  const double fan_in = static_cast<double>(entry.tensor.numel() / entry.tensor.size(0));
  return (u - 0.5) * 2 * std::sqrt(3 / fan_in);
}

torch::Tensor hashed(std::uint64_t seed, std::uint64_t stream, std::vector<std::int64_t> sizes) {
  auto values = torch::empty(sizes, torch::kDouble);
  double* out = values.data_ptr<double>();
  for (std::int64_t i = 0; i < values.numel(); ++i) out[i] = hash_uniform(seed, stream, static_cast<std::uint64_t>(i));
  return values;
}

/// One run of the file, replayed.
class Replay {
 public:
  Replay(const Golden& golden, std::string run, dist::Communicator& communicator)
      : golden_(golden),
        run_(std::move(run)),
        seed_(static_cast<std::uint64_t>(attribute("seed"))),
        batch_(attribute("batch")),
        classes_(attribute("classes")),
        margin_{model::MarginKind::kCosFace, golden.number("/", "s"), golden.number("/", "m")},
        backbone_(model::make_backbone({.name = golden.text("/", "model"), .embedding_dim = 512, .dropout = 0.0, .seed = 1})),
        head_({.num_classes = classes_, .embedding_dim = 512, .margin = margin_, .seed = 1}, communicator) {
    fill_backbone();
    backbone_->to(communicator.device());
    const auto kernel = ((2 * hashed(seed_, 1000200, {512, classes_}) - 1) / 64).to(torch::kFloat);
    head_.weight().copy_(kernel.t());
  }

  [[nodiscard]] std::int64_t steps() const { return attribute("steps"); }
  [[nodiscard]] torch::Tensor images(std::int64_t step) const {
    return (2 * hashed(seed_, static_cast<std::uint64_t>(1000000 + step), {batch_, 3, 112, 112}) - 1).to(torch::kFloat);
  }
  [[nodiscard]] torch::Tensor labels(std::int64_t step) const {
    return (hashed(seed_, static_cast<std::uint64_t>(1000100 + step), {batch_}) * static_cast<double>(classes_)).floor().to(torch::kLong);
  }
  [[nodiscard]] model::ShardedHead& head() { return head_; }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

  /// Fills loss, grad_norm, head_grad_norm and train_prob, one row a step.
  void train() {
    std::vector<torch::Tensor> trained;
    for (const auto& parameter : backbone_->parameters()) {
      if (parameter.requires_grad()) trained.push_back(parameter);
    }
    model::Sgd sgd(trained, {});
    model::Sgd head_sgd({head_.weight()}, {});
    backbone_->train();
    for (std::int64_t step = 0; step < steps(); ++step) {
      for (auto& parameter : trained) parameter.mutable_grad().reset();
      const auto embeddings = backbone_->forward(on_device(images(step)));
      const auto result = head_.forward_backward(embeddings, on_device(labels(step)), {batch_});
      embeddings.backward(result.grad_embeddings);
      loss.push_back(result.loss.item<double>());
      const auto gradient = model::gradient_norm(model::gradients_of(trained), {5.0, {}});
      grad_norm.push_back(gradient.norm.item<double>());
      head_grad_norm.push_back(head_.weight().grad().norm().item<double>());
      train_prob.push_back(result.probability.cpu());
      const double rate = golden_.number(run_, "lr");
      sgd.step({rate, gradient.finite, {}, gradient.divisor});
      head_sgd.step(rate);
    }
  }

  /// Scores of all batches in order, concatenated: with margin and without.
  [[nodiscard]] std::pair<model::HeadScores, model::HeadScores> score() {
    const torch::NoGradGuard no_grad;
    backbone_->eval();
    std::vector<torch::Tensor> embeddings;
    std::vector<torch::Tensor> all_labels;
    for (std::int64_t step = 0; step < steps(); ++step) {
      embeddings.push_back(backbone_->forward(on_device(images(step))));
      all_labels.push_back(on_device(labels(step)));
    }
    eval_embedding = embeddings.front();
    const auto rows = torch::cat(embeddings);
    model::MarginOptions none = margin_;
    none.kind = model::MarginKind::kNone;
    return {on_host(head_.score(rows, torch::cat(all_labels), {rows.size(0)}, margin_)),
            on_host(head_.score(rows, torch::cat(all_labels), {rows.size(0)}, none))};
  }

  std::vector<double> loss, grad_norm, head_grad_norm;
  std::vector<torch::Tensor> train_prob;
  torch::Tensor eval_embedding;

 private:
  [[nodiscard]] std::int64_t attribute(const char* name) const { return static_cast<std::int64_t>(golden_.number("/", name)); }
  void fill_backbone() {
    const torch::NoGradGuard no_grad;
    std::map<std::string, torch::Tensor> tensors;
    for (const auto& item : backbone_->named_parameters()) tensors[item.key()] = item.value();
    for (const auto& item : backbone_->named_buffers()) tensors[item.key()] = item.value();
    const auto manifest = golden_json("backbones.json");
    for (const auto& item : manifest.at(golden_.text("/", "model")).at("entries")) {
      Entry entry{item.at("k").get<std::int64_t>(), item.at("name").get<std::string>(), {}};
      entry.tensor = tensors.at(entry.name);
      if (entry.name.ends_with("num_batches_tracked")) {
        entry.tensor.zero_();
        continue;
      }
      auto values = hashed(seed_, static_cast<std::uint64_t>(entry.k), entry.tensor.sizes().vec());
      double* value = values.data_ptr<double>();
      for (std::int64_t i = 0; i < values.numel(); ++i) value[i] = fill_value(entry, value[i]);
      entry.tensor.copy_(values);
      entries_.push_back(std::move(entry));
    }
  }

  const Golden& golden_;
  std::string run_;
  std::uint64_t seed_;
  std::int64_t batch_;
  std::int64_t classes_;
  model::MarginOptions margin_;
  std::shared_ptr<model::Backbone> backbone_;
  model::ShardedHead head_;
  std::vector<Entry> entries_;
};

class TrainSteps : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] torch::Tensor wanted(const std::string& leaf) const { return golden_tensor64(golden_, GetParam() + "/" + leaf); }
  void expect_inputs(const Replay& replay) {
    const auto sums = wanted("image_sum");
    for (std::int64_t step = 0; step < replay.steps(); ++step) {
      ASSERT_NEAR(replay.images(step).to(torch::kDouble).sum().item<double>(), sums[step].item<double>(), 1e-6)
          << "images of step " << step;
    }
  }
  void expect_first_step(const Replay& replay) {
    EXPECT_NEAR(replay.loss[0] / wanted("loss_f64")[0].item<double>(), 1.0, 1e-5);
    EXPECT_NEAR(replay.grad_norm[0] / wanted("grad_norm_f64")[0].item<double>(), 1.0, 1e-3);
    EXPECT_NEAR(replay.head_grad_norm[0] / wanted("head_grad_norm_f64")[0].item<double>(), 1.0, 1e-3);
  }
  /// A small rate: every step is comparable.
  void expect_all_steps(Replay& replay);
  /// A rate at which rounding grows without bound: only what is left of the last step is comparable.
  void expect_last_step(Replay& replay) {
    const auto last = static_cast<std::size_t>(replay.steps() - 1);
    EXPECT_NEAR(replay.loss[last] / wanted("loss_f64")[replay.steps() - 1].item<double>(), 1.0, 2e-2);
    EXPECT_NEAR(replay.head().weight().norm().item<double>() / wanted("kernel_f64").norm().item<double>(), 1.0, 1e-2);
  }

  Golden golden_{"train_steps.h5"};
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
};

void TrainSteps::expect_all_steps(Replay& replay) {
  EXPECT_LE(elementwise_distance(torch::tensor(replay.loss, torch::kDouble), wanted("loss_f64"), 0.0), 1e-5);
  EXPECT_LE(elementwise_distance(torch::tensor(replay.grad_norm, torch::kDouble), wanted("grad_norm_f64"), 0.0), 2e-3);
  EXPECT_LE(elementwise_distance(torch::tensor(replay.head_grad_norm, torch::kDouble), wanted("head_grad_norm_f64"), 0.0), 2e-3);
  const auto train_prob = wanted("train_prob_f64");
  EXPECT_LE(distance(torch::stack(replay.train_prob), train_prob, largest(train_prob)), 1e-3);

  const auto l2 = wanted("state_l2_f64");
  std::vector<double> ours;
  for (const auto& entry : replay.entries()) ours.push_back(entry.tensor.to(torch::kDouble).norm().item<double>());
  ASSERT_EQ(static_cast<std::int64_t>(ours.size()), l2.size(0));
  EXPECT_LE(elementwise_distance(torch::tensor(ours, torch::kDouble), l2, 0.0), 1e-5);
  const auto kernel = wanted("kernel_f64");
  EXPECT_LE(distance(replay.head().weight().t(), kernel, largest(kernel)), 1e-4);

  const auto [with_margin, margin_free] = replay.score();
  const auto expect_probability = [&](const torch::Tensor& ours_p, const char* leaf) {
    const auto p = wanted(leaf);
    EXPECT_LE(distance(ours_p, p, largest(p)), 1e-3) << leaf;
  };
  expect_probability(with_margin.probability, "prob_margin_f64");
  expect_probability(margin_free.probability, "prob_no_margin_f64");
  const auto predicted = golden_ids(golden_, GetParam() + "/predicted");
  EXPECT_TRUE(torch::equal(margin_free.top1, predicted));
}

TEST_P(TrainSteps, AgreeWithTheReference) {
  Replay replay(golden_, GetParam(), *communicator_);
  expect_inputs(replay);

  replay.train();

  expect_first_step(replay);
  if (golden_.number(GetParam(), "lr") <= 0.01) {
    expect_all_steps(replay);
  } else {
    expect_last_step(replay);
  }
}

std::vector<std::string> runs() {
  return Golden("train_steps.h5").names("/");
}
INSTANTIATE_TEST_SUITE_P(Runs, TrainSteps, ::testing::ValuesIn(runs()), [](const auto& entry) { return entry.param; });

}  // namespace
}  // namespace diffprob::tests
