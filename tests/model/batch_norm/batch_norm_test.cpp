// Own batch norm against LibTorch's in float64: values, gradients, running statistics; and what it
// does in odd cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "model/batch_norm/batch_norm.h"
#include "model/batch_norm/ops.h"
#include "tests/support/test_device.h"

namespace diffprob::model {
namespace {

namespace nn = torch::nn;

struct Case {
  std::vector<std::int64_t> shape;  ///< of x
  double mean;
  double deviation;
};

enum class Kind { kPlain, kPrelu, kAdd, kFork };

/// On the host float64 sums, on a GPU float32 sums of a thread's rows.
double float_tolerance() {
  return tests::test_device().is_cuda() ? 2e-5 : 3e-6;
}

/// Layers and inputs of one case, in any type; the layers in float32 when inputs have 16 bits.
struct Layers {
  Layers(const Case& wanted, at::ScalarType type)
      : bn(wanted.shape[1]), prelu(nn::PReLUOptions().num_parameters(wanted.shape[1])) {
    const at::NoGradGuard no_grad;
    auto generator = at::make_generator<at::CPUGeneratorImpl>(11);
    const auto random = [&](at::IntArrayRef shape) {
      return at::randn(shape, generator, at::kFloat);
    };
    x = (random(wanted.shape) * wanted.deviation + wanted.mean).to(type);
    residual = random(wanted.shape).to(type);
    grad = random(wanted.shape).to(type);
    other_grad = random(wanted.shape).to(type);
    bn->weight.copy_(random({wanted.shape[1]}) * 0.3 + 1);
    bn->bias.copy_(random({wanted.shape[1]}) * 0.3);
    prelu->weight.copy_(random({wanted.shape[1]}) * 0.1 + 0.25);
    const auto wide = type == at::kHalf || type == at::kBFloat16 ? at::kFloat : type;
    bn->to(tests::test_device(), wide);
    prelu->to(tests::test_device(), wide);
    for (auto* tensor : {&x, &residual, &grad, &other_grad})
      *tensor = tensor->to(tests::test_device());
  }
  nn::BatchNorm2d bn;
  nn::PReLU prelu;
  at::Tensor x, residual, grad, other_grad;
};

using Results = std::map<std::string, at::Tensor>;

void backward_and_collect(Layers& layers, const at::Tensor& y, const at::Tensor& x,
                          const at::Tensor& residual, Results& results) {
  results["y"] = y.detach();
  results["grad_x"] = x.grad();
  results["grad_weight"] = layers.bn->weight.grad();
  results["grad_bias"] = layers.bn->bias.grad();
  if (layers.prelu->weight.grad().defined()) results["grad_slope"] = layers.prelu->weight.grad();
  if (residual.grad().defined()) results["grad_residual"] = residual.grad();
  results["running_mean"] = layers.bn->running_mean;
  results["running_var"] = layers.bn->running_var;
}

/// LibTorch's operators one after the other.
Results library_results(const Case& wanted, Kind kind, at::ScalarType type,
                        at::ScalarType rounded = at::kDouble) {
  Layers layers(wanted, type);
  for (auto* tensor : {&layers.x, &layers.residual, &layers.grad, &layers.other_grad})
    *tensor = tensor->to(rounded).to(type);
  const at::Tensor x = layers.x.clone().requires_grad_(true),
                   residual = layers.residual.clone().requires_grad_(true);
  at::Tensor y = layers.bn->forward(x);
  if (kind == Kind::kPrelu) y = layers.prelu->forward(y);
  if (kind == Kind::kAdd) y = y + residual;
  at::Tensor loss = (y * layers.grad).sum();
  if (kind == Kind::kFork) loss = loss + (x * layers.other_grad).sum();
  loss.backward();
  Results results;
  backward_and_collect(layers, y, x, residual, results);
  return results;
}

Results own_results(const Case& wanted, Kind kind, at::ScalarType type,
                    BatchNormContext context = {},
                    at::MemoryFormat format = at::MemoryFormat::ChannelsLast) {
  Layers layers(wanted, type);
  const at::Tensor leaf = layers.x.clone().requires_grad_(true),
                   residual = layers.residual.clone().requires_grad_(true);
  const at::Tensor x = leaf.contiguous(format);
  at::Tensor y, loss;
  if (kind == Kind::kFork) {
    const auto [normal, same] = batch_norm_fork(*layers.bn, x, context);
    y = normal;
    loss = (same * layers.other_grad).sum();
  } else if (kind == Kind::kPrelu) {
    y = batch_norm_prelu(*layers.bn, *layers.prelu, x, context);
  } else {
    y = kind == Kind::kAdd ? batch_norm_add(*layers.bn, x, residual, context)
                           : batch_norm(*layers.bn, x, context);
  }
  const at::Tensor main_loss = (y * layers.grad).sum();
  (loss.defined() ? loss + main_loss : main_loss).backward();
  Results results;
  backward_and_collect(layers, y, leaf, residual, results);
  EXPECT_EQ(layers.bn->num_batches_tracked.item<std::int64_t>(), 1);
  return results;
}

double distance(const at::Tensor& found, const at::Tensor& wanted) {
  const at::Tensor expected = wanted.cpu().to(at::kDouble);
  return ((found.cpu().to(at::kDouble) - expected).abs().max() /
          expected.abs().max().clamp_min(1e-30))
      .item<double>();
}

const std::vector<Case> kCases = {{{4, 64, 14, 14}, 0.3, 1},
                                  {{3, 17, 5, 9}, 0, 2},
                                  {{2, 1, 3, 3}, -1, 0.5},
                                  {{5, 130, 2, 2}, 0.1, 1},
                                  {{2, 32, 70, 70}, 5, 1}};

TEST(BatchNorm, AgreesWithFloat64ForAllKindsAndSizes) {
  for (const auto& wanted : kCases) {
    for (const auto kind : {Kind::kPlain, Kind::kPrelu, Kind::kAdd, Kind::kFork}) {
      SCOPED_TRACE(c10::str(at::IntArrayRef(wanted.shape), " kind ", static_cast<int>(kind)));
      const Results exact = library_results(wanted, kind, at::kDouble);
      for (const auto format : {at::MemoryFormat::ChannelsLast, at::MemoryFormat::Contiguous}) {
        const Results found = own_results(wanted, kind, at::kFloat, {}, format);
        ASSERT_EQ(found.size(), exact.size());
        for (const auto& [name, values] : exact)
          EXPECT_LE(distance(found.at(name), values), float_tolerance()) << name << " " << format;
      }
    }
  }
}

/// Two layers one after the other, the first with a residual: what the first leaves for the second
/// is what the second finds by itself.
TEST(BatchNorm, SumsLeftByOneLayerServeTheNext) {
  for (const auto type : {at::kFloat, at::kHalf}) {
    for (const auto& [wanted, with_prelu] :
         {std::pair(kCases[0], false), std::pair(kCases[4], false), std::pair(kCases[0], true)}) {
      std::vector<Results> found;
      for (const bool summing : {false, true}) {
        Layers first(wanted, type), second(wanted, type);
        BatchNormContext context = {.sum_outputs = summing};
        const at::Tensor leaf = first.x.clone().requires_grad_(true),
                         residual = first.residual.clone().requires_grad_(true);
        const at::Tensor x = leaf.contiguous(at::MemoryFormat::ChannelsLast);
        const at::Tensor middle =
            batch_norm_add(*first.bn, x, residual, context, OutputGoesTo::kBatchNorm);
        EXPECT_EQ(context.output.sums.defined(), summing && has_batch_kernels(x)) << type;
        const auto link = context.output.gradient;
        EXPECT_EQ(static_cast<bool>(link), summing && has_batch_kernels(x)) << type;
        const at::Tensor y = with_prelu
                                 ? batch_norm_prelu(*second.bn, *second.prelu, middle, context)
                                 : batch_norm_fork(*second.bn, middle, context).first;
        EXPECT_FALSE(context.output.sums.defined());
        EXPECT_FALSE(context.output.tensor.defined());
        (y * second.grad).sum().backward();
        // Nothing is held longer than it is needed.
        EXPECT_FALSE(link && (link->layer.x.defined() || link->written.defined()));
        Results results;
        backward_and_collect(second, y, leaf, residual, results);
        results["grad_weight"] = first.bn->weight.grad();
        found.push_back(results);
      }
      for (const auto& [name, values] : found[0]) {
        const double allowed = tests::test_device().is_cuda()
                                   ? 2e-3
                                   : 0;  // there the float32 sums run in another order
        EXPECT_LE(distance(found[1].at(name), values), allowed) << name << " " << type;
      }
    }
  }
}

TEST(BatchNorm, SumsOfOneBatchAreNotTakenForAnother) {
  const Case& wanted = kCases[0];
  Layers layers(wanted, at::kFloat);
  BatchNormContext context = {.sum_outputs = true};
  const at::Tensor x = layers.x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor y =
      batch_norm_add(*layers.bn, x, layers.residual, context, OutputGoesTo::kBatchNorm);
  const BatchNormContext::Output kept = context.output;
  EXPECT_FALSE(context.take_output(y.clone(at::MemoryFormat::ChannelsLast)).sums.defined());
  for (const at::Tensor& other : {y.narrow(0, 0, 2), y.narrow(0, 2, 2), y.transpose(2, 3)}) {
    context.output = kept;
    const auto taken = context.take_output(other);
    EXPECT_FALSE(taken.sums.defined() || taken.gradient);
  }
  context.output = kept;
  const auto taken = context.take_output(y);
  EXPECT_TRUE(taken.sums.defined() && taken.gradient);
  layers.bn->eval();
  (void)batch_norm_add(*layers.bn, x, layers.residual, context, OutputGoesTo::kBatchNorm);
  EXPECT_FALSE(context.output.sums.defined());  // nobody wants statistics in evaluation
}

/// The pass that writes the gradient of a layer's output leaves what that layer's own pass over it
/// would find.
TEST(BatchNorm, GradientSumsLeftForTheLayerBefore) {
  for (const auto& wanted : {kCases[0], kCases[4]}) {
    Layers first(wanted, at::kFloat), second(wanted, at::kFloat);
    const at::Tensor x = first.x.contiguous(at::MemoryFormat::ChannelsLast);
    const BatchAffine affine = {first.bn->weight.detach(), first.bn->bias.detach(), {}};
    const BatchStatistics statistics = batch_statistics(x, 1e-5, {});
    const at::Tensor middle = batch_normalize(x, affine, statistics, {});
    const BatchStatistics later = batch_statistics(middle, 1e-5, {});
    const at::Tensor grad = second.grad.contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor sums = batch_gradient_sums(grad, middle, affine, later).sums;
    LayerBefore before = {x, statistics.mean, {}};
    const at::Tensor extra = second.residual.contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor of_middle =
        batch_input_gradient({grad, extra}, middle, affine, later, sums, &before);
    EXPECT_TRUE(
        at::equal(of_middle, batch_input_gradient({grad, extra}, middle, affine, later, sums)));
    const BatchGradientSums left =
        batch_gradient_sums(of_middle, x, affine, statistics, {}, before.sums);
    const BatchGradientSums own = batch_gradient_sums(of_middle, x, affine, statistics);
    const double allowed = tests::test_device().is_cuda() ? 1e-4 : 0;
    EXPECT_LE(distance(left.sums, own.sums), allowed);
    EXPECT_LE(distance(left.weight, own.weight), allowed);
    EXPECT_LE(distance(left.bias, own.bias), allowed);
  }
}

/// As under autocast: inputs, outputs and their gradients in 16 bits. Compared with float64 on the
/// same rounded inputs.
TEST(BatchNorm, SixteenBitInputsWithFloat32Layers) {
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    const double rounding = type == at::kHalf ? 2e-3 : 1.6e-2;  // of outputs
    for (const auto& wanted : kCases) {
      for (const auto kind : {Kind::kPlain, Kind::kPrelu, Kind::kAdd, Kind::kFork}) {
        SCOPED_TRACE(
            c10::str(type, " ", at::IntArrayRef(wanted.shape), " kind ", static_cast<int>(kind)));
        const Results exact = library_results(wanted, kind, at::kDouble, type);
        const Results found = own_results(wanted, kind, type);
        for (const auto& [name, values] : exact)
          EXPECT_LE(distance(found.at(name), values), rounding) << name;
      }
    }
  }
}

TEST(BatchNorm, KernelsOfTheGpuTakeWhatNetworksHave) {
  if (!tests::test_device().is_cuda()) GTEST_SKIP() << "no GPU asked for";
  const auto rows = [](std::int64_t channels, at::ScalarType type) {
    return has_batch_kernels(
        at::zeros({2, channels, 3, 3}, at::TensorOptions(at::kCUDA).dtype(type))
            .contiguous(at::MemoryFormat::ChannelsLast));
  };
  for (const auto type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const std::int64_t channels : {16, 64, 128, 256, 512})
      EXPECT_TRUE(rows(channels, type)) << channels;
    EXPECT_FALSE(rows(17, type));
  }
  EXPECT_FALSE(rows(64, at::kDouble));
  EXPECT_FALSE(has_batch_kernels(at::zeros({2, 64, 3, 3}, at::kCUDA)));  // channels first
}

TEST(BatchNorm, IsAtLeastAsExactAsLibTorchFarFromZero) {
  const Case far = {{4, 16, 40, 40}, 300, 1};
  const Results exact = library_results(far, Kind::kPrelu, at::kDouble);
  const Results theirs = library_results(far, Kind::kPrelu, at::kFloat, at::kFloat);
  const Results ours = own_results(far, Kind::kPrelu, at::kFloat);
  for (const auto& [name, values] : exact) {
    const double found = distance(ours.at(name), values), other = distance(theirs.at(name), values);
    std::printf("%-14s ours %.2g, LibTorch %.2g\n", name.c_str(), found, other);
    EXPECT_LE(found, 1.5 * other + 1e-6) << name;
  }
}

TEST(BatchNorm, LibTorchsOperatorsGiveTheSame) {
  for (const auto kind : {Kind::kPlain, Kind::kPrelu, Kind::kAdd, Kind::kFork}) {
    const Results exact = library_results(kCases[0], kind, at::kDouble);
    for (const auto& [name, values] : own_results(kCases[0], kind, at::kDouble, {.fused = false})) {
      EXPECT_LE(distance(values, exact.at(name)), 1e-12) << name;
    }
  }
}

TEST(BatchNorm, FrozenStatisticsPassNoGradientAndStay) {
  Layers layers(kCases[0], at::kFloat);
  layers.bn->running_mean.fill_(0.4);
  layers.bn->running_var.fill_(2.0);
  layers.bn->eval();
  BatchNormContext context;
  const at::Tensor x = layers.x.contiguous(at::MemoryFormat::ChannelsLast).requires_grad_(true);
  const at::Tensor same = layers.x.clone().requires_grad_(true);

  (batch_norm_prelu(*layers.bn, *layers.prelu, x, context) * layers.grad).sum().backward();
  const at::Tensor weight_grad = layers.bn->weight.grad().clone();
  layers.bn->zero_grad();
  (layers.prelu->forward(layers.bn->forward(same)) * layers.grad).sum().backward();

  EXPECT_LE(distance(x.grad(), same.grad()), 1e-6);
  EXPECT_LE(distance(weight_grad, layers.bn->weight.grad()), 1e-5);
  EXPECT_TRUE(at::equal(layers.bn->running_mean.cpu(), at::full({64}, 0.4)));
}

TEST(BatchNorm, RowsOfFeaturesWithoutWeights) {
  nn::BatchNorm1d own(nn::BatchNorm1dOptions(48).affine(false)),
      theirs(nn::BatchNorm1dOptions(48).affine(false));
  own->to(tests::test_device());
  theirs->to(tests::test_device());
  const at::Tensor x =
      at::randn({9, 48}, at::make_generator<at::CPUGeneratorImpl>(3)).to(tests::test_device());
  const at::Tensor a = x.clone().requires_grad_(true), b = x.clone().requires_grad_(true);
  BatchNormContext context;

  const at::Tensor y = batch_norm(*own, a, context);
  y.pow(3).sum().backward();
  const at::Tensor z = theirs->forward(b);
  z.pow(3).sum().backward();

  EXPECT_LE(distance(y, z), 1e-6);
  EXPECT_LE(distance(a.grad(), b.grad()), 1e-5);
  EXPECT_LE(distance(own->running_var, theirs->running_var), 1e-6);
}

TEST(BatchNorm, OneValueAChannelIsAnError) {
  nn::BatchNorm1d bn(8);
  BatchNormContext context;
  EXPECT_THROW((void)batch_norm(*bn, at::zeros({1, 8}), context), c10::Error);
}

TEST(StatisticsTape, AShorterTapeThanTheRepetitionIsAnError) {
  StatisticsTape tape;
  EXPECT_THROW((void)tape.next(), c10::Error);
}

}  // namespace
}  // namespace diffprob::model
