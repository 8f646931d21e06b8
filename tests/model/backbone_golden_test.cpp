// Backbones against the reference implementation: names, order, shapes and counts of every network, numbers of the networks in
// backbones.h5.
#include <algorithm>
#include <cstdio>

#include <gtest/gtest.h>

#include "model/backbone.h"
#include "model/weights.h"
#include "tests/model/golden_network.h"
#include "tests/support/golden.h"
#include "tests/support/test_device.h"

namespace diffprob {
namespace {

bool is_known(const std::string& network) {
  const auto names = model::backbone_names();
  return std::find(names.begin(), names.end(), network) != names.end();
}

TEST(BackboneManifest, NamesOrderShapesAndCountsAreThoseOfTheReference) {
  const nlohmann::json networks = tests::golden_json("backbones.json");
  int compared = 0;
  for (const auto& [network, wanted] : networks.items()) {
    if (!is_known(network)) {
      std::printf("skipped: network %s is unknown to this build\n", network.c_str());
      continue;
    }
    SCOPED_TRACE(network);
    const auto net = model::make_backbone({.name = network});
    const model::StateDict found = model::state_dict(*net);
    const auto& entries = wanted.at("entries");
    ASSERT_EQ(found.size(), entries.size());
    for (std::size_t k = 0; k < found.size(); ++k) {
      const auto& entry = entries[k];
      const at::Tensor& tensor = found[k].second;
      ASSERT_EQ(entry.at("k").get<std::size_t>(), k);
      ASSERT_EQ(found[k].first, entry.at("name").get<std::string>());
      ASSERT_EQ(tensor.sizes().vec(), entry.at("shape").get<std::vector<std::int64_t>>()) << found[k].first;
      ASSERT_EQ(tensor.scalar_type() == at::kLong ? "int64" : "float32", entry.at("dtype").get<std::string>()) << found[k].first;
      const bool trained = entry.at("kind") == "parameter" && entry.value("requires_grad", true);
      ASSERT_EQ(tensor.requires_grad(), trained) << found[k].first;
    }
    std::int64_t parameters = 0, trainable = 0;
    for (const auto& parameter : net->parameters()) {
      parameters += parameter.numel();
      if (parameter.requires_grad()) trainable += parameter.numel();
    }
    EXPECT_EQ(parameters, wanted.at("parameters").get<std::int64_t>());
    EXPECT_EQ(trainable, wanted.at("trainable_parameters").get<std::int64_t>());
    ++compared;
  }
  std::printf("%d of %zu networks compared\n", compared, networks.size());
  EXPECT_GT(compared, 0);
}

/// What a run of the README's five points yields, in float64.
struct Run {
  at::Tensor eval_embedding, train_embedding, eval_embedding_after;  ///< [B, D]
  std::vector<std::int64_t> grad_k, running_k;
  std::vector<double> grad_sum, grad_l2, running_sum, running_l2;
};

void append_sums(const at::Tensor& tensor, std::size_t k, std::vector<std::int64_t>& ks, std::vector<double>& sums,
                 std::vector<double>& norms) {
  const at::Tensor wide = tensor.detach().to(at::kDouble);
  ks.push_back(static_cast<std::int64_t>(k));
  sums.push_back(wide.sum().item<double>());
  norms.push_back(wide.norm().item<double>());
}

at::Tensor evaluate(model::Backbone& net, const at::Tensor& faces) {
  torch::NoGradGuard no_grad;
  net.eval();
  return net.forward(faces).cpu().to(at::kDouble);
}

Run run_network(const std::string& network, std::uint64_t seed, std::int64_t batch, at::ScalarType type) {
  constexpr std::uint64_t kFaces = 1000000, kOutputWeights = 1000001;
  const auto net = model::make_backbone({.name = network});
  tests::fill_network(*net, seed);
  net->to(tests::test_device(), type);
  const at::Tensor faces = tests::hashed_tensor(seed, kFaces, {batch, 3, 112, 112}).to(tests::test_device(), type);
  const at::Tensor output_weights =
      tests::hashed_tensor(seed, kOutputWeights, {batch, net->embedding_dim()}).to(tests::test_device(), type);
  Run run;
  run.eval_embedding = evaluate(*net, faces);
  net->train();
  const at::Tensor embedding = net->forward(faces);
  run.train_embedding = embedding.detach().cpu().to(at::kDouble);
  (embedding * output_weights).sum().backward();
  const model::StateDict entries = model::state_dict(*net);
  for (std::size_t k = 0; k < entries.size(); ++k) {
    const auto& [name, tensor] = entries[k];
    if (tensor.grad().defined()) append_sums(tensor.grad(), k, run.grad_k, run.grad_sum, run.grad_l2);
    if (name.ends_with("running_mean") || name.ends_with("running_var"))
      append_sums(tensor, k, run.running_k, run.running_sum, run.running_l2);
  }
  run.eval_embedding_after = evaluate(*net, faces);
  return run;
}

/// max |found - wanted| / max |wanted|.
double relative_error(const at::Tensor& found, const std::vector<double>& wanted) {
  if (found.numel() != static_cast<std::int64_t>(wanted.size())) return 1e300;
  const at::Tensor expected = at::tensor(wanted, at::kDouble).view(found.sizes());
  return ((found - expected).abs().max() / expected.abs().max()).item<double>();
}

struct Tolerances {
  double eval = 1e-5, train = 3e-4, grad_l2 = 2e-3, grad_sum = 5e-3, grad_zero = 1e-3, running_l2 = 1e-6, running_sum = 1e-4;
};
/// cuDNN's float32 convolutions differ by some 1e-6, which puts more values on the other side of a PReLU; sums of gradients cancel.
Tolerances float_tolerances() {
  Tolerances within;
  if (tests::test_device().is_cuda()) within.grad_l2 = 5e-3, within.grad_sum = 3e-2;
  return within;
}
constexpr Tolerances kDoubleTolerances = {1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9};

void compare_gradients(const tests::Golden& golden, const std::string& network, const Run& run, const Tolerances& within) {
  const auto sum = golden.doubles(network + "/grad_sum_f64"), l2 = golden.doubles(network + "/grad_l2_f64");
  ASSERT_EQ(run.grad_k, golden.integers(network + "/grad_k"));
  double worst = 0;
  for (std::size_t i = 0; i < l2.size(); ++i) {
    if (l2[i] > 1e-6) {
      worst = std::max(worst, std::abs(run.grad_l2[i] - l2[i]) / l2[i]);
    } else {
      EXPECT_NEAR(run.grad_l2[i], l2[i], within.grad_zero) << "gradient k " << run.grad_k[i];
    }
    EXPECT_NEAR(run.grad_sum[i], sum[i], within.grad_sum * l2[i] + within.grad_zero) << "gradient k " << run.grad_k[i];
  }
  std::printf("  gradient norms: worst relative error %.2g\n", worst);
  EXPECT_LE(worst, within.grad_l2);
}

void compare_running(const tests::Golden& golden, const std::string& network, const Run& run, const Tolerances& within) {
  const auto sum = golden.doubles(network + "/running_sum_f64"), l2 = golden.doubles(network + "/running_l2_f64");
  ASSERT_EQ(run.running_k, golden.integers(network + "/running_k"));
  for (std::size_t i = 0; i < l2.size(); ++i) {
    EXPECT_NEAR(run.running_l2[i], l2[i], within.running_l2 * l2[i]) << "running statistic k " << run.running_k[i];
    EXPECT_NEAR(run.running_sum[i], sum[i], within.running_sum) << "running statistic k " << run.running_k[i];
  }
}

void compare(const tests::Golden& golden, const std::string& network, const Run& run, const Tolerances& within) {
  const double eval = relative_error(run.eval_embedding, golden.doubles(network + "/eval_embedding_f64"));
  const double train = relative_error(run.train_embedding, golden.doubles(network + "/train_embedding_f64"));
  const double after = relative_error(run.eval_embedding_after, golden.doubles(network + "/eval_embedding_after_f64"));
  std::printf("%s: relative errors: eval %.2g, train %.2g, eval after %.2g\n", network.c_str(), eval, train, after);
  EXPECT_LE(eval, within.eval);
  EXPECT_LE(train, within.train);
  EXPECT_LE(after, within.eval);
  compare_gradients(golden, network, run, within);
  compare_running(golden, network, run, within);
}

void compare_all(at::ScalarType type, const Tolerances& within, double most_macs) {
  const tests::Golden golden("backbones.h5");
  const nlohmann::json networks = tests::golden_json("backbones.json");
  const auto seed = static_cast<std::uint64_t>(golden.number("/", "seed"));
  const auto batch = static_cast<std::int64_t>(golden.number("/", "batch"));
  int compared = 0;
  for (const std::string& network : golden.names("/")) {
    if (!is_known(network)) {
      std::printf("skipped: network %s is unknown to this build\n", network.c_str());
      continue;
    }
    if (networks.at(network).at("macs_conv_linear").get<double>() > most_macs) continue;
    SCOPED_TRACE(network);
    compare(golden, network, run_network(network, seed, batch, type), within);
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST(BackboneNumbers, Float32AgreesWithTheReference) {
  compare_all(at::kFloat, float_tolerances(), 1e300);
}

TEST(BackboneNumbers, Float64AgreesWithTheReferenceTo1e9) {
  constexpr double kMostMacs = 3e9;  // larger networks take minutes in float64 on a CPU
  compare_all(at::kDouble, kDoubleTolerances, kMostMacs);
}

}  // namespace
}  // namespace diffprob
