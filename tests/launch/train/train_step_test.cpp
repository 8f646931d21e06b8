// The step of a training, with ranks: what a spoilt batch does, and that options which must not
// change results do not.
#include "launch/train/train_step.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "model/weights/weights.h"
#include "tests/launch/job/runtime_under_test.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kClasses = 10;
constexpr std::int64_t kBatch = 12;

Config small_config() {
  Config config;
  config.device = tests::test_device_request();
  config.model.network.name = "tiny";
  config.train.precision = Precision::kFp32;
  config.model.network.embedding_dim = 16;
  config.model.network.dropout = 0.2;
  config.model.head.margin.scale = 16;
  config.model.head.margin.margin = 0.1;
  config.train.batch_size = kBatch;
  return config;
}

class TrainerStep : public ::testing::Test {
 protected:
  void SetUp() override { runtime_ = tests::make_runtime(small_config()); }

  /// This rank's rows of a global batch that is a function of the step.
  [[nodiscard]] data::Batch batch(std::int64_t step) const {
    auto generator =
        at::make_generator<at::CPUGeneratorImpl>(static_cast<std::uint64_t>(100 + step));
    const at::Tensor images = at::randint(0, 256, {kBatch, 112, 112, 3}, generator, at::kByte);
    const at::Tensor labels = at::randint(0, kClasses, {kBatch}, generator, at::kLong);
    const auto rows = data::rows_of_rank(kBatch, runtime_->rank(), runtime_->world_size());
    const auto own = [&](const at::Tensor& all) {
      return all.narrow(0, rows.begin, rows.end - rows.begin).contiguous();
    };
    return {own(images), own(labels), own(at::arange(kBatch))};
  }

  static model::StateDict snapshot(TrainStep& trainer) {
    const CheckpointState state = trainer.state(trainer.statistics());
    model::StateDict all;
    const auto add = [&](const model::StateDict& entries) {
      for (const auto& [name, tensor] : entries) all.emplace_back(name, tensor.clone());
    };
    add(state.backbone);
    for (const auto& part : state.replicated) add(part.entries);
    add(state.rows);
    return all;
  }

  static void expect_equal(const model::StateDict& a, const model::StateDict& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
      EXPECT_TRUE(at::equal(a[i].second, b[i].second)) << a[i].first;
  }

  std::unique_ptr<Runtime> runtime_;
};

TEST_F(TrainerStep, SpoiltBatchOfOneRankIsLeftOutOnAll) {
  for (const auto optimizer : {model::OptimizerKind::kSgd, model::OptimizerKind::kAdamW}) {
    Config config = small_config();
    config.train.optimizer = optimizer;
    config.train.schedule.base_lr = 0.01;
    TrainStep trainer(config, kClasses, 1, *runtime_);
    trainer.step(batch(0), 0, 0.01);
    const model::StateDict before = snapshot(trainer);

    // One number of the last rank's network is not a number while step 1 runs.
    const at::Tensor spoilt = trainer.backbone().parameters().front();
    const bool here = runtime_->rank() == runtime_->world_size() - 1;
    const at::Tensor kept = spoilt.detach().clone();
    {
      const at::NoGradGuard no_grad;
      if (here) spoilt.view(-1)[0] = std::numeric_limits<float>::quiet_NaN();
    }
    trainer.step(batch(1), 1, 0.01);
    {
      const at::NoGradGuard no_grad;
      if (here) spoilt.copy_(kept);
    }

    expect_equal(snapshot(trainer), before);
    const auto skipped = trainer.take_skipped();
    EXPECT_EQ(skipped.steps, std::vector<std::int64_t>{1});
    EXPECT_EQ(skipped.total, 1);
    const RunningMeans means = trainer.take_means();
    EXPECT_TRUE(std::isfinite(means.loss));  // of step 0 alone

    trainer.step(batch(2), 2, 0.01);
    EXPECT_TRUE(trainer.take_skipped().steps.empty());
    for (const auto& parameter : trainer.backbone().parameters())
      EXPECT_TRUE(at::isfinite(parameter).all().item<bool>());
  }
}

/// The records of all updates but the spoilt one: rows in order, and numbers that add up to what
/// training reports.
TEST_F(TrainerStep, RecordsRowsOfTheUpdatesThatAreMade) {
  for (const std::int64_t micro_steps : {1, 2}) {
    Config config = small_config();
    config.model.head.margin.margin =
        0;  // then the recorded probability belongs to the recorded margin
    config.model.head.margin.kind = model::MarginKind::kNone;
    config.train.accumulate = micro_steps;
    TrainStep trainer(config, kClasses, 1, *runtime_);
    StepRecords records;
    trainer.record_into(records);
    const at::Tensor spoilt = trainer.backbone().parameters().front();
    std::vector<std::uint32_t> wanted;
    for (std::int64_t step = 0; step < 4; ++step) {
      const at::NoGradGuard no_grad;
      const at::Tensor kept = spoilt.detach().clone();
      if (step == 2 && runtime_->rank() == 0)
        spoilt.view(-1)[0] = std::numeric_limits<float>::quiet_NaN();
      const data::Batch rows = batch(step);
      {
        const at::AutoGradMode grad(true);
        trainer.step(rows, step, 0.01);
      }
      if (step == 2) spoilt.copy_(kept);
      for (std::int64_t i = 0; step != 2 && i < rows.indices.numel(); ++i) {
        wanted.push_back(static_cast<std::uint32_t>(rows.indices[i].item<std::int64_t>()));
      }
    }

    const auto taken = records.take();

    EXPECT_EQ(taken.updates, 3);
    ASSERT_EQ(taken.records.size(), wanted.size());
    std::vector<double> sums(3, 0.0);  // loss, rows, right ones
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const auto& record = taken.records[i];
      EXPECT_EQ(record.index, wanted[i]);
      EXPECT_EQ(record.correct != 0, record.margin > 0);
      // p = 1 / (1 + sum of others / own): the best other class alone bounds it from above, C - 1
      // of them from below.
      EXPECT_LE(record.probability, 1 / (1 + std::exp(-record.margin)) + 1e-5);
      EXPECT_GE(record.probability,
                1 / (1 + static_cast<double>(kClasses - 1) * std::exp(-record.margin)) - 1e-5);
      sums[0] -= std::log(static_cast<double>(record.probability));
      sums[1] += 1;
      sums[2] += record.correct;
    }
    runtime_->control().all_reduce(std::span<double>(sums), dist::ReduceOp::kSum);
    EXPECT_NEAR(trainer.take_means().loss, sums[0] / sums[1], 1e-5);
    EXPECT_EQ(sums[1], 3 * kBatch);
    EXPECT_TRUE(records.take().records.empty());
  }
}

struct Trained {
  std::vector<at::Tensor> parameters;
  std::vector<std::int64_t> skipped;
};

/// Where an option must change nothing: on a GPU sums come in another order.
double nothing(double on_cpu) {
  return tests::test_device().is_cuda() ? 0.01 : on_cpu;
}

Trained train_steps(const Config& config, const std::vector<std::int64_t>& steps, Runtime& runtime,
                    const std::function<data::Batch(std::int64_t)>& batch) {
  TrainStep trainer(config, kClasses, 1, runtime);
  for (const auto step : steps) trainer.step(batch(step), step, 0.01);
  Trained result{{}, trainer.take_skipped().steps};
  for (const auto& parameter : trainer.backbone().parameters())
    result.parameters.push_back(parameter.detach().clone());
  return result;
}

/// Largest, relative to the largest value of its tensor.
double difference(const Trained& a, const Trained& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.parameters.size(); ++i) {
    const double scale = a.parameters[i].abs().max().item<double>() + 1e-3;
    largest =
        std::max(largest, (a.parameters[i] - b.parameters[i]).abs().max().item<double>() / scale);
  }
  return largest;
}

double difference_after_steps(const Config& a, const Config& b, Runtime& runtime,
                              const std::function<data::Batch(std::int64_t)>& batch) {
  return difference(train_steps(a, {0, 1, 2}, runtime, batch),
                    train_steps(b, {0, 1, 2}, runtime, batch));
}

TEST_F(TrainerStep, RecomputationChangesNothing) {
  Config recompute = small_config();
  recompute.model.network.recompute = true;
  EXPECT_LT(difference_after_steps(small_config(), recompute, *runtime_,
                                   [&](auto step) { return batch(step); }),
            nothing(1e-5));
}

TEST_F(TrainerStep, ChunkedHeadChangesNothing) {
  Config chunked = small_config();
  chunked.model.head_buffer_mib = 1e-4;
  EXPECT_LT(difference_after_steps(small_config(), chunked, *runtime_,
                                   [&](auto step) { return batch(step); }),
            nothing(1e-4));
}

TEST_F(TrainerStep, LowPrecisionStaysNear) {
  if (!runtime_->device().is_cpu() && !runtime_->device().is_cuda())
    GTEST_SKIP() << "pretended devices compute in float32 alone";
  const auto make = [&](std::int64_t step) { return batch(step); };
  for (const Precision precision : {Precision::kBf16, Precision::kFp16}) {
    const std::string name = word_of(precision_words(), precision);
    Config low = small_config();
    low.train.precision = precision;
    low.train.reducer.communication_dtype = scalar_type(precision);
    const Trained found = train_steps(low, {0, 1, 2, 3}, *runtime_, make);
    // fp16 finds its loss scale by leaving updates out: the comparison leaves out the same.
    std::vector<std::int64_t> made;
    for (std::int64_t step = 0; step < 4; ++step) {
      if (std::find(found.skipped.begin(), found.skipped.end(), step) == found.skipped.end())
        made.push_back(step);
    }
    ASSERT_GE(made.size(), 1u) << name;
    const double largest = difference(found, train_steps(small_config(), made, *runtime_, make));
    std::printf("%s: %zu updates, largest relative difference of weights %.3g\n", name.c_str(),
                made.size(), largest);
    EXPECT_LT(largest, 0.15) << name;
    EXPECT_GT(largest, 0) << name;
  }
}

TEST_F(TrainerStep, AccumulationTrainsOnTheWholeBatch) {
  if (kBatch % (2 * runtime_->world_size()) != 0)
    GTEST_SKIP() << "12 rows do not split into 2 micro-batches on every rank";
  for (const char* loss : {"cosface", "curricularface"}) {
    Config config = small_config();
    config.model.head.margin.kind = model::margin_kind(loss);
    config.train.accumulate = 2;
    TrainStep trainer(config, kClasses, 1, *runtime_);
    const model::StateDict before = snapshot(trainer);
    trainer.step(batch(0), 0, 0.01);
    EXPECT_TRUE(std::isfinite(trainer.take_means().loss));
    EXPECT_TRUE(trainer.take_skipped().steps.empty());
    EXPECT_FALSE(at::equal(snapshot(trainer).front().second, before.front().second));
  }
}

TEST_F(TrainerStep, EveryLossTrains) {
  for (const auto& loss : model::margin_names()) {
    Config config = small_config();
    config.model.head.margin.kind = model::margin_kind(loss);
    config.model.head.margin.margin = -1;
    TrainStep trainer(config, kClasses, 1, *runtime_);
    for (std::int64_t step = 0; step < 2; ++step) trainer.step(batch(step), step, 0.01);
    EXPECT_TRUE(std::isfinite(trainer.take_means().loss)) << loss;
    EXPECT_TRUE(trainer.take_skipped().steps.empty()) << loss;
  }
}

TEST_F(TrainerStep, AveragedWeightsAreSwappedInAndOut) {
  Config config = small_config();
  config.train.ema_decay = 0.9;
  TrainStep trainer(config, kClasses, 1, *runtime_);
  for (std::int64_t step = 0; step < 2; ++step) trainer.step(batch(step), step, 0.05);
  const model::StateDict before = snapshot(trainer);
  {
    const TrainStep::ForEvaluation network(trainer);
    EXPECT_FALSE(at::equal(trainer.backbone().parameters().front(), before.front().second));
  }
  expect_equal(snapshot(trainer), before);
}

TEST_F(TrainerStep, AverageStartsFromGivenWeights) {
  Config config = small_config();
  TrainStep given(config, kClasses, 2, *runtime_);
  const model::StateDict weights = model::state_dict(given.backbone());
  const tests::ScratchFolder folder;
  const std::string file = folder.file("given.pth");
  model::write_pth(file, weights);
  config.train.ema_decay = 0.9;
  TrainStep trainer(config, kClasses, 1, *runtime_);
  EXPECT_EQ(trainer.start_from(file, shape_of_weight_file(config.model)), "");
  const TrainStep::ForEvaluation network(trainer);
  expect_equal(model::state_dict(trainer.backbone()), weights);
}

}  // namespace
}  // namespace diffprob::launch
