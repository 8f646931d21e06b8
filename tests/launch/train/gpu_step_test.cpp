// The step of a training on a GPU: no wait for the device, the captured step against the same step
// by step, and against the CPU.
#include <c10/cuda/CUDAFunctions.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "launch/inputs/resident_batches.h"
#include "launch/inputs/training_data.h"
#include "launch/train/train_step.h"
#include "tests/data/memory_set.h"
#include "tests/support/mpi_world.h"
#include "tests/support/test_device.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kClasses = 50;
constexpr std::int64_t kBatch = 24;

Config small_config(dist::DeviceRequest device = dist::DeviceRequest::kCuda) {
  Config config;
  config.device = device;
  config.model.network.name = "tiny";
  config.train.precision = Precision::kFp32;
  config.model.network.embedding_dim = 32;
  config.model.network.dropout = 0.3;
  config.model.head.margin.scale = 16;
  config.model.head.margin.margin = 0.1;
  config.train.batch_size = kBatch;
  return config;
}

class GpuStep : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tests::test_device().is_cuda())
      GTEST_SKIP()
          << "DIFFPROB_TEST_SKIPPED_ENTIRELY: no GPU asked for (DIFFPROB_TEST_DEVICE=cuda)";
  }
};

/// This rank's rows of the batch of a step, in pinned memory as the loader gives it.
data::Batch batch_of(std::int64_t step, const Runtime& runtime) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<std::uint64_t>(100 + step));
  const at::Tensor images = at::randint(0, 256, {kBatch, 112, 112, 3}, generator, at::kByte);
  const at::Tensor labels = at::randint(0, kClasses, {kBatch}, generator, at::kLong);
  const auto rows = data::rows_of_rank(kBatch, runtime.rank(), runtime.world_size());
  const auto own = [&](const at::Tensor& all) {
    const at::Tensor part = all.narrow(0, rows.begin, rows.end - rows.begin).contiguous();
    return runtime.device().is_cuda() ? part.pin_memory() : part;
  };
  return {own(images), own(labels), own(at::arange(kBatch))};
}

struct Outcome {
  std::vector<double> losses;
  std::vector<at::Tensor> parameters;
  at::Tensor centres;
};

/// A different learning rate each step.
Outcome train(const Config& config, std::int64_t steps,
              const std::function<void(std::int64_t, TrainStep&)>& before = {}) {
  Runtime runtime(tests::mpi(), config);
  TrainStep trainer(config, kClasses, 1, runtime);
  Outcome outcome;
  for (std::int64_t step = 0; step < steps; ++step) {
    if (before) before(step, trainer);
    trainer.step(batch_of(step, runtime), step, 0.02 / static_cast<double>(1 + step % 5));
    outcome.losses.push_back(trainer.take_means().loss);
  }
  for (const auto& parameter : trainer.backbone().parameters())
    outcome.parameters.push_back(parameter.detach().cpu());
  outcome.centres = trainer.head().weight().cpu();
  return outcome;
}

/// Largest, relative to the largest value of its tensor.
double difference(const Outcome& a, const Outcome& b) {
  double largest = 0;
  const auto compare = [&](const at::Tensor& x, const at::Tensor& y) {
    largest = std::max(largest,
                       (x - y).abs().max().item<double>() / (y.abs().max().item<double>() + 1e-3));
  };
  for (std::size_t i = 0; i < a.parameters.size(); ++i) compare(a.parameters[i], b.parameters[i]);
  compare(a.centres, b.centres);
  return largest;
}

TEST_F(GpuStep, RecordedStepsAreThoseMadeOneByOne) {
  for (const char* loss : {"cosface", "adaface", "curricularface"}) {
    for (const std::int64_t accumulate : {1, 2}) {
      Config eager = small_config();
      eager.model.head.margin.kind = model::margin_kind(loss);
      eager.train.accumulate = accumulate;
      eager.train.cuda_graph = CudaGraph::kOff;
      Config graph = eager;
      graph.train.cuda_graph = CudaGraph::kOn;
      const Outcome a = train(eager, 12);
      const Outcome again = train(eager, 12);
      const Outcome b = train(graph, 12);
      const double noise = difference(again, a), found = difference(b, a);
      std::printf(
          "%s, %ld micro-steps: largest difference of weights %.2g (between two runs of the same: "
          "%.2g)\n",
          loss, static_cast<long>(accumulate), found, noise);
      EXPECT_LE(found, 0.03);  // of weights near zero; the losses are the sharper test
      for (std::size_t i = 0; i < a.losses.size(); ++i)
        EXPECT_NEAR(b.losses[i], a.losses[i], 2e-3 * (1 + std::abs(a.losses[i]))) << i;
    }
  }
}

/// Losses of 12 steps, captured and made one by one.
void expect_same_losses(Config config) {
  config.train.cuda_graph = CudaGraph::kOff;
  const Outcome a = train(config, 12);
  config.train.cuda_graph = CudaGraph::kOn;
  const Outcome b = train(config, 12);
  for (std::size_t i = 0; i < a.losses.size(); ++i)
    EXPECT_NEAR(b.losses[i], a.losses[i], 2e-3 * (1 + std::abs(a.losses[i]))) << i;
}

TEST_F(GpuStep, RecordedStepsOfAdamWAreThoseMadeOneByOne) {
  Config config = small_config();
  config.train.optimizer = model::OptimizerKind::kAdamW;
  expect_same_losses(config);
}

TEST_F(GpuStep, RecordedStepsSampleTheClassesOfTheirStep) {
  Config config = small_config();
  config.model.head.sample_rate = 0.6;
  expect_same_losses(config);
}

TEST_F(GpuStep, RecordedStepsRoundCentresByTheKeyOfTheirStep) {
  Config config = small_config();
  config.model.head.storage = at::kBFloat16;
  expect_same_losses(config);
}

TEST_F(GpuStep, RecordedStepLeavesOutASpoiltBatch) {
  Config config = small_config();
  config.train.cuda_graph = CudaGraph::kOn;
  Runtime runtime(tests::mpi(), config);
  TrainStep trainer(config, kClasses, 1, runtime);
  std::int64_t step = 0;
  for (; step < 8; ++step) trainer.step(batch_of(step, runtime), step, 0.01);
  EXPECT_TRUE(trainer.take_skipped().steps.empty());
  const at::NoGradGuard no_grad;
  at::Tensor spoilt = trainer.backbone().parameters().front();
  const at::Tensor kept = spoilt.detach().clone();
  spoilt.view(-1)[0] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor centres = trainer.head().weight().clone();
  trainer.step(batch_of(step, runtime), step, 0.01);
  spoilt.copy_(kept);
  EXPECT_TRUE(at::equal(trainer.head().weight(), centres));
  EXPECT_EQ(trainer.take_skipped().steps, std::vector<std::int64_t>{step});
  trainer.step(batch_of(step + 1, runtime), step + 1, 0.01);
  EXPECT_TRUE(trainer.take_skipped().steps.empty());
  EXPECT_FALSE(at::equal(trainer.head().weight(), centres));
}

TEST_F(GpuStep, RecordedStepNamesABadLabel) {
  Config config = small_config();
  config.train.cuda_graph = CudaGraph::kOn;
  Runtime runtime(tests::mpi(), config);
  TrainStep trainer(config, kClasses, 1, runtime);
  for (std::int64_t step = 0; step < 8; ++step) {
    data::Batch batch = batch_of(step, runtime);
    if (step == 6) batch.labels[1] = kClasses + 7;
    trainer.step(batch, step, 0.01);
  }
  try {
    (void)trainer.take_means();
    ADD_FAILURE() << "no error";
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what()).find("row 1 of its batch: label 57, expected 0 to 49"),
              std::string::npos)
        << error.what();
  }
}

/// LibTorch's own check: any call that waits for the device is an error.
TEST_F(GpuStep, NeverWaitsForTheDevice) {
  for (const CudaGraph graph : {CudaGraph::kOff, CudaGraph::kOn}) {
    for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp16}) {
      Config config = small_config();
      config.train.cuda_graph = graph;
      config.train.precision = precision;
      Runtime runtime(tests::mpi(), config);
      TrainStep trainer(config, kClasses, 1, runtime);
      std::vector<data::Batch> batches;
      for (std::int64_t step = 0; step < 18; ++step) batches.push_back(batch_of(step, runtime));
      std::int64_t step = 0;
      for (; step < 8; ++step) trainer.step(batches[static_cast<std::size_t>(step)], step, 0.01);
      c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR);
      try {
        for (; step < 18; ++step) trainer.step(batches[static_cast<std::size_t>(step)], step, 0.01);
      } catch (const std::exception& error) {
        ADD_FAILURE() << (graph == CudaGraph::kOn ? "captured " : "eager ")
                      << word_of(precision_words(), precision) << " step " << step << ": "
                      << error.what();
      }
      c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
      EXPECT_TRUE(std::isfinite(trainer.take_means().loss));
    }
  }
}

/// The same of batches that are gathered from images in memory of the GPU.
TEST_F(GpuStep, ResidentBatchesNeverWaitForTheDevice) {
  Config config = small_config();
  Runtime runtime(tests::mpi(), config);
  TrainStep trainer(config, 7, 1, runtime);
  const auto set = std::make_shared<data::test::MemorySet>(18 * kBatch);
  const auto images =
      std::make_shared<ResidentImages>(set, loader_options(config, runtime), runtime);
  ResidentBatches batches(images, set, data::test::train_plan(*set, kBatch), /*flip=*/true);
  data::Batch batch;
  std::int64_t step = 0;
  try {
    for (; batches.next(batch); ++step) {
      if (step == 8)
        c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR);
      trainer.step(batch, step, 0.01);
    }
  } catch (const std::exception& error) {
    ADD_FAILURE() << "step " << step << ": " << error.what();
  }
  c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
  EXPECT_EQ(step, 18);
  EXPECT_TRUE(std::isfinite(trainer.take_means().loss));
}

void expect_same_training(Precision precision, UntriedKernel kernel) {
  SCOPED_TRACE(word_of(precision_words(), precision) + ", " +
               word_of(untried_kernel_words(), kernel));
  Config config = small_config();
  config.train.precision = precision;
  Config own = config;
  own.train.untried_kernels = {kernel};
  const Outcome a = train(config, 12);
  const Outcome b = train(own, 12);
  const bool fp32 = precision == Precision::kFp32;
  EXPECT_NEAR(b.losses[0], a.losses[0], (fp32 ? 1e-4 : 1e-2) * std::abs(a.losses[0]));
  for (std::size_t i = 1; i < a.losses.size(); ++i) {
    EXPECT_NEAR(b.losses[i], a.losses[i], (fp32 ? 2e-2 : 1e-1) * (1 + std::abs(a.losses[i])))
        << "step " << i;
  }
}

TEST_F(GpuStep, UntriedKernelsTrainTheSame) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp16}) {
    for (const UntriedKernel kernel : {UntriedKernel::kFaces, UntriedKernel::kSumStatistics,
                                       UntriedKernel::kWeights, UntriedKernel::kFoldedNorm})
      expect_same_training(precision, kernel);
  }
}

TEST_F(GpuStep, OwnClassesByTheirOwnKernelTrainTheSame) {
  const Config config = small_config();
  Config own = config;
  own.train.untried_kernels = {UntriedKernel::kOwnClasses};
  const Outcome a = train(config, 12);
  const Outcome b = train(own, 12);
  EXPECT_NEAR(b.losses[0], a.losses[0], 1e-5 * std::abs(a.losses[0]));
  for (std::size_t i = 1; i < a.losses.size(); ++i) {
    EXPECT_NEAR(b.losses[i], a.losses[i], 2e-2 * (1 + std::abs(a.losses[i]))) << "step " << i;
  }
}

TEST_F(GpuStep, FirstStepsAreThoseOfTheCpu) {
  if (tests::mpi().world_size() > 1) GTEST_SKIP() << "one rank is enough";
  for (const auto& loss : model::margin_names()) {
    Config gpu = small_config();
    gpu.model.head.margin.kind = model::margin_kind(loss);
    gpu.model.head.margin.margin = -1;
    gpu.train.cuda_graph = CudaGraph::kOff;
    Config cpu = gpu;
    cpu.device = dist::DeviceRequest::kCpu;
    const Outcome a = train(cpu, 2);
    const Outcome b = train(gpu, 2);
    std::printf("%s: loss %.6g on the CPU, %.6g on the GPU; largest difference of weights %.2g\n",
                loss.c_str(), a.losses[1], b.losses[1], difference(b, a));
    EXPECT_NEAR(b.losses[0], a.losses[0], 1e-4 * std::abs(a.losses[0])) << loss;
    EXPECT_NEAR(b.losses[1], a.losses[1], 2e-3 * std::abs(a.losses[1])) << loss;
    EXPECT_LE(difference(b, a), 0.02) << loss;
  }
}

}  // namespace
}  // namespace diffprob::launch
