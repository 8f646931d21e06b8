// Synchronised batch norm: W ranks with their rows of a batch are one rank with all of it, forward,
// backward and running statistics.
#include <gtest/gtest.h>

#include "model/networks/backbone.h"
#include "model/weights/weights.h"
#include "tests/model/head_test_support.h"

namespace diffprob::tests {
namespace {

constexpr std::int64_t kRows = 9;  // uneven for 2 and 4 ranks
constexpr std::uint64_t kKey = 21;

struct Outcome {
  at::Tensor embeddings;  ///< own rows
  std::map<std::string, at::Tensor> gradients;
  model::StateDict state;
};

/// Large patches of random brightness: faces of pure noise look all the same after the first
/// averages, and batch norm would blow up rounding.
at::Tensor patches(at::ScalarType type) {
  constexpr std::int64_t kPatch = 28;
  const at::Tensor coarse =
      at::rand({kRows, 3, 4, 4}, at::make_generator<at::CPUGeneratorImpl>(7)) * 2 - 1;
  return coarse.repeat_interleave(kPatch, 2).repeat_interleave(kPatch, 3).to(type);
}

Outcome train_rows(const model::BackboneOptions& options, at::ScalarType type, std::int64_t first,
                   std::int64_t count) {
  const auto net = model::make_backbone(options);
  net->to(type);
  net->train();
  net->set_step_context({.key = kKey, .first_row = first});
  const at::Tensor faces = patches(type);
  const at::Tensor weights =
      at::randn({kRows, options.embedding_dim}, at::make_generator<at::CPUGeneratorImpl>(8))
          .to(type);
  Outcome outcome;
  outcome.embeddings = net->forward(faces.narrow(0, first, count));
  (outcome.embeddings * weights.narrow(0, first, count)).sum().backward();
  for (const auto& item : net->named_parameters()) {
    if (item.value().grad().defined()) outcome.gradients[item.key()] = item.value().grad();
  }
  outcome.state = model::state_dict(*net);
  return outcome;
}

struct Setting {
  const char* name;
  at::ScalarType type;
  bool recompute;
  double within;  ///< embeddings and statistics, relative to the largest
  double within_gradient;
  bool folded = false;  ///< of the ranks, not of the one that they are compared with
};

class SyncBatchNorm : public ::testing::TestWithParam<Setting> {
 protected:
  void expect_close(const at::Tensor& found, const at::Tensor& wanted, double within,
                    const std::string& what, double least_scale = 1e-6) {
    const double scale = std::max(least_scale, wanted.abs().max().item<double>());
    const double error = (found - wanted).abs().max().item<double>() / scale;
    worst_ = std::max(worst_, error);
    EXPECT_LE(error, within) << what;
  }
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
  double worst_ = 0;
};

TEST_P(SyncBatchNorm, RanksTogetherAreOneRank) {
  const Setting setting = GetParam();
  model::BackboneOptions options = {.name = setting.name, .embedding_dim = 24, .dropout = 0.4};
  const Outcome whole = train_rows(options, setting.type, 0, kRows);
  options.sync_batch_norm = communicator_.get();
  options.recompute = setting.recompute;
  options.fold_norms = setting.folded;
  const std::int64_t first = kRows * communicator_->rank() / communicator_->world_size();
  const std::int64_t end = kRows * (communicator_->rank() + 1) / communicator_->world_size();

  Outcome own = train_rows(options, setting.type, first, end - first);

  expect_close(own.embeddings, whole.embeddings.narrow(0, first, end - first), setting.within,
               "embeddings");
  for (auto& [name, gradient] : own.gradients) {
    at::Tensor sum = gradient.contiguous();
    communicator_->all_reduce(sum)->wait_host();
    // In front of a batch norm the gradient of a bias is zero, its rounding is not.
    if (whole.gradients.at(name).norm().item<double>() < 1e-4) continue;
    expect_close(sum, whole.gradients.at(name), setting.within_gradient, name);
  }
  for (std::size_t i = 0; i < own.state.size(); ++i) {
    const auto& [name, tensor] = whole.state[i];
    // Means behind a sum of batch norms are zero but for rounding; what they are taken from is of
    // size one.
    constexpr double kLeast = 0.1;
    if (name.find("running") != std::string::npos)
      expect_close(own.state[i].second, tensor, setting.within, name, kLeast);
    if (name.ends_with("num_batches_tracked")) {
      EXPECT_EQ(own.state[i].second.item<std::int64_t>(), 1);
    }
  }
  if (communicator_->rank() == 0) std::printf("worst relative error %.2g\n", worst_);
}

INSTANTIATE_TEST_SUITE_P(Networks, SyncBatchNorm,
                         ::testing::Values(Setting{"tiny", at::kFloat, false, 2e-4, 2e-3},
                                           Setting{"tiny", at::kFloat, true, 2e-4, 2e-3},
                                           Setting{"tiny", at::kFloat, false, 5e-4, 1e-2, true},
                                           Setting{"tiny", at::kDouble, false, 1e-9, 1e-9},
                                           Setting{"tiny", at::kDouble, true, 1e-9, 1e-9},
                                           Setting{"mobilefacenet", at::kDouble, false, 1e-9, 1e-9},
                                           Setting{"vit_nano", at::kDouble, false, 1e-9, 1e-9},
                                           Setting{"vit_nano", at::kDouble, true, 1e-9, 1e-9}),
                         [](const auto& entry) {
                           const Setting& s = entry.param;
                           return std::string(s.name) +
                                  (s.type == at::kFloat ? "_float32" : "_float64") +
                                  (s.recompute ? "_recompute" : "") + (s.folded ? "_folded" : "");
                         });

}  // namespace
}  // namespace diffprob::tests
