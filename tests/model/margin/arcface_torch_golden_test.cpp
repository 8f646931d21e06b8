// LossPreset::kArcfaceTorch against losses_arcface_torch.h5: numbers of arcface_torch's and
// CVLface's own classes on the inputs of losses.h5, gradients by their autograd.
#include <cstdio>
#include <filesystem>

#include "tests/model/golden_losses.h"

namespace diffprob::tests {
namespace {

model::MarginOptions options_of(const Golden& golden, const std::string& head) {
  auto options = model::margin_defaults(model::margin_kind(golden.text(head, "loss")));
  options.preset = model::LossPreset::kArcfaceTorch;
  options.scale = golden.number(head, "s");
  options.margin = golden.number_or(head, "m", options.margin);
  options.m1 = golden.number_or(head, "m1", options.m1);
  options.m2 = golden.number_or(head, "m2", options.m2);
  options.m3 = golden.number_or(head, "m3", options.m3);
  options.adaface_h = golden.number_or(head, "h", options.adaface_h);
  options.adaface_t_alpha = golden.number_or(head, "t_alpha", options.adaface_t_alpha);
  options.filter_threshold = golden.number_or(head, "filter_threshold", 0.0);
  return options;
}

HeadProblem input_of(const Golden& inputs, const std::string& group) {
  return {golden_tensor(inputs, group + "/embedding"), golden_ids(inputs, group + "/label"),
          golden_tensor(inputs, "input/main/weight_CD")};
}

TEST(ArcfaceTorchLosses, LogitsLossAndGradientsAreThoseOfTheirClasses) {
  if (!std::filesystem::exists(golden_dir() + "/losses_arcface_torch.h5"))
    GTEST_SKIP() << "the set has no losses_arcface_torch.h5";
  const Golden golden("losses_arcface_torch.h5"), inputs("losses.h5");
  double worst = 0;
  int steps = 0;
  for (const std::string& head : golden.names("/")) {
    const auto margin = model::make_margin(options_of(golden, head), at::kCPU);
    for (const std::string& step : golden.names("/" + head)) {
      const std::string path = head + "/" + step;
      SCOPED_TRACE(path);
      const DenseHead found = dense_head(input_of(inputs, golden.text(path, "input")), *margin);
      for (const auto& [name, values] :
           {std::pair("logits", found.logits), std::pair("loss", found.loss),
            std::pair("prob", found.probability),
            std::pair("grad_embedding", found.grad_embeddings),
            std::pair("grad_weight_CD", found.grad_weight)}) {
        const auto wanted = golden_tensor64(golden, path + "/" + name);
        const double difference = distance(values, wanted, largest(wanted));
        EXPECT_LE(difference, 1e-11) << name;
        worst = std::max(worst, difference);
      }
      ++steps;
    }
  }
  EXPECT_GT(steps, 0);
  std::printf("%d batches, largest relative difference %.1e\n", steps, worst);
}

}  // namespace
}  // namespace diffprob::tests
