// The inference network against the reference implementation's evaluation, for every network of
// backbones.h5 and transformers.h5.
#include <algorithm>
#include <cstdio>

#include <gtest/gtest.h>

#include "model/inference/network.h"
#include "tests/model/golden_network.h"
#include "tests/support/golden.h"
#include "tests/support/test_device.h"

namespace diffprob {
namespace {

class InferenceNumbers : public ::testing::TestWithParam<const char*> {};

TEST_P(InferenceNumbers, EvaluationAgreesWithTheReference) {
  constexpr std::uint64_t kFaces = 1000000;  // streams as the golden README has them
  constexpr double kFloor =
      1e-5;  // of the largest value; folding batch norms rounds weights once more
  const tests::Golden golden(GetParam() + std::string(".h5"));
  const auto seed = static_cast<std::uint64_t>(golden.number("/", "seed"));
  const auto batch = static_cast<std::int64_t>(golden.number("/", "batch"));
  const auto known = model::backbone_names();
  int compared = 0;
  for (const std::string& name : golden.names("/")) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      tests::print_skipped("network " + name, "unknown to this build");
      continue;
    }
    const auto backbone = model::make_backbone({.name = name});
    tests::fill_network(*backbone, seed);
    backbone->to(tests::test_device());
    const at::Tensor faces = tests::hashed_tensor(seed, kFaces, {batch, 3, 112, 112});

    const at::Tensor found =
        model::InferenceNetwork(*backbone)(faces.to(tests::test_device())).cpu().to(at::kDouble);

    const at::Tensor wanted =
        at::tensor(golden.reference(name + "/eval_embedding"), at::kDouble).view(found.sizes());
    const double error = ((found - wanted).abs().max() / wanted.abs().max()).item<double>();
    const double allowed =
        tests::float32_tolerance(golden.relative_rounding(name + "/eval_embedding"), kFloor, kFloor,
                                 name + "/eval_embedding");
    std::printf("%s: relative error %.2g (allowed %.2g)\n", name.c_str(), error, allowed);
    EXPECT_LE(error, allowed) << name;
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

INSTANTIATE_TEST_SUITE_P(Sets, InferenceNumbers, ::testing::Values("backbones", "transformers"),
                         [](const auto& entry) { return std::string(entry.param); });

}  // namespace
}  // namespace diffprob
