// Training steps of the whole program on one device: with images that are there already (uint8 on
// the device), what the network, the head and the optimisers cost without the loader; with --data,
// on the JPEG images of a data set, decoded as diffprob train does it. One JSON line;
// "data_wait_share": of the time, how much the host waited for images. The peer is peer_train.py,
// run.sh runs both.
//   train_bench [--warmup=10] [--steps=40] [--classes=93431 | --data=FOLDER] [--trace=FILE.json]
//   [--cudnn_plans=10] [--section.key=value ...]
// cudnn_plans: how many plans cuDNN times for each convolution; 0: all it has.
// Keys are those of the configuration (--train.precision, --data.decode_threads ...).
#include <ATen/Context.h>
#include <torch/types.h>

#include <chrono>
#include <string>

#include <nlohmann/json.hpp>

#include "launch/config/precision.h"
#include "launch/inputs/open_data.h"
#include "launch/inputs/training_data.h"
#include "launch/observe/profile_trace.h"
#include "launch/train/train_step.h"
#include "tests/bench/gpu/bench_arguments.h"
#include "tests/bench/gpu/device_meter.h"
#include "tests/bench/gpu/hashed_values.h"
#include "tests/bench/gpu/run_benchmark.h"

namespace {

using namespace diffprob;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kBatches = 4;  // different ones, in turn
constexpr std::int64_t kTriedSteps = 2;
constexpr std::uint64_t kSeed = 1;
constexpr std::int64_t kTracedSteps = 3;

struct Options {
  std::int64_t warmup = 10;
  std::int64_t steps = 40;
  std::int64_t classes = 93431;
  std::int64_t cudnn_plans = 10;
  std::string data;
  std::string trace;
  std::vector<launch::Override> config = {
      {"model.dropout", "0"}, {"train.batch_size", "256"}, {"data.cache_gib", "0"}};
};

Options parse(int argc, char** argv) {
  Options options;
  bench::Arguments{{{"warmup", &options.warmup},
                    {"steps", &options.steps},
                    {"classes", &options.classes},
                    {"cudnn_plans", &options.cudnn_plans}},
                   {{"data", &options.data}, {"trace", &options.trace}},
                   options.config}
      .parse(argc, argv);
  options.config.push_back({"data.train", options.data.empty() ? "synthetic" : options.data});
  return options;
}

/// Where the rows of a step come from.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  [[nodiscard]] virtual std::int64_t classes() const = 0;
  [[nodiscard]] virtual data::Batch next() = 0;
  /// Seconds that next() has waited for images so far.
  [[nodiscard]] virtual double wait_seconds() const = 0;
};

/// A few batches that are on the device already, in turn.
class DeviceBatches final : public BatchSource {
 public:
  DeviceBatches(std::int64_t rows, std::int64_t classes, at::Device device) : classes_(classes) {
    for (std::int64_t i = 0; i < kBatches; ++i)
      batches_.push_back({bench::hashed_images(i, rows, device),
                          bench::hashed_labels(i, rows, classes, device), at::arange(rows)});
  }
  [[nodiscard]] std::int64_t classes() const override { return classes_; }
  [[nodiscard]] data::Batch next() override { return batches_[next_++ % batches_.size()]; }
  [[nodiscard]] double wait_seconds() const override { return 0; }

 private:
  std::int64_t classes_;
  std::vector<data::Batch> batches_;
  std::size_t next_ = 0;
};

/// Images of a data set, decoded anew every epoch; epochs follow each other for as long as batches
/// are asked for.
class LoadedBatches final : public BatchSource {
 public:
  LoadedBatches(const launch::Config& config, launch::Runtime& runtime)
      : dataset_(launch::open_training_set(config, runtime)),
        data_(config, dataset_, kSeed, runtime) {
    TORCH_CHECK(data_.steps_per_epoch() > 0, "train_bench: ", dataset_->size(),
                " images are less than a batch of ", config.train.batch_size);
  }
  [[nodiscard]] std::int64_t classes() const override { return dataset_->num_classes(); }
  [[nodiscard]] data::Batch next() override {
    data::Batch batch;
    while (!loader_ || !loader_->next(batch)) {
      ended_wait_ = wait_seconds();
      loader_ = data_.loader(epoch_++, 0);
    }
    return batch;
  }
  [[nodiscard]] double wait_seconds() const override {
    return ended_wait_ + (loader_ ? loader_->wait_seconds() : 0);
  }

 private:
  std::shared_ptr<const data::Dataset> dataset_;
  launch::TrainingData data_;
  std::unique_ptr<data::BatchStream> loader_;
  std::int64_t epoch_ = 0;
  double ended_wait_ = 0;  ///< in epochs that have ended
};

std::unique_ptr<BatchSource> make_source(const Options& options, const launch::Config& config,
                                         launch::Runtime& runtime) {
  if (!options.data.empty()) return std::make_unique<LoadedBatches>(config, runtime);
  const std::int64_t rows =
      runtime.rows_per_rank(config.train.batch_size)[static_cast<std::size_t>(runtime.rank())];
  return std::make_unique<DeviceBatches>(rows, options.classes, runtime.device());
}

/// A training and the batches that it is fed.
class Steps {
 public:
  Steps(const launch::Config& config, BatchSource& source, launch::Runtime& runtime)
      : source_(source),
        trainer_(config, source.classes(), kSeed, runtime),
        device_(runtime.device()) {
    bench::fill_network(trainer_.backbone());
    bench::fill_centres(trainer_.head().weight());
  }
  /// Submits some; the device may not have done them when it returns.
  void submit(std::int64_t count) {
    for (const std::int64_t end = step_ + count; step_ < end; ++step_) {
      trainer_.timer().enter(launch::StepPhase::kDataWait);
      trainer_.step(source_.next(), step_, 0.01);
    }
  }
  void run(std::int64_t count) {
    submit(count);
    bench::synchronize(device_);
  }
  void trace(const std::string& path) {
    launch::ProfileTrace trace({path, step_, kTracedSteps}, device_);
    for (std::int64_t i = 0; i < kTracedSteps; ++i) {
      trace.before_step(step_);
      submit(1);
    }
    bench::synchronize(device_);
    trace.finish();
  }
  [[nodiscard]] launch::TrainStep& trainer() { return trainer_; }

 private:
  BatchSource& source_;
  launch::TrainStep trainer_;
  at::Device device_;
  std::int64_t step_ = 0;
};

nlohmann::ordered_json measure(const Options& options, const launch::Config& config,
                               launch::Runtime& runtime) {
  at::globalContext().setBenchmarkLimitCuDNN(static_cast<int>(options.cudnn_plans));
  const auto source = make_source(options, config, runtime);
  Steps steps(config, *source, runtime);
  launch::TrainStep& trainer = steps.trainer();
  steps.run(1);
  const double first_loss = trainer.take_means().loss;
  steps.run(kTriedSteps - 1);  // cuDNN tries algorithms, with memory that later steps do not need
  bench::reset_peak_memory(runtime.device());
  steps.run(options.warmup);
  (void)trainer.timer().take();
  (void)trainer.take_means();

  const double waited_before = source->wait_seconds();
  const auto begin = Clock::now();
  steps.submit(options.steps);
  const double submitted = std::chrono::duration<double>(Clock::now() - begin).count();
  bench::synchronize(runtime.device());
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double waited = source->wait_seconds() - waited_before;

  nlohmann::ordered_json out = {
      {"bench", "train"}, {"side", "ours"}, {"device", runtime.device().is_cpu() ? "cpu" : "cuda"}};
  out["network"] = config.model.network.name;
  out["batch"] = config.train.batch_size;
  out["classes"] = source->classes();
  out["images"] = options.data.empty() ? "device" : "jpeg";
  out["precision"] = launch::word_of(
      launch::precision_words(), launch::precision_on(runtime.device(), config.train.precision));
  for (const launch::UntriedKernel kernel : config.train.untried_kernels)
    out["untried_kernels"].push_back(launch::word_of(launch::untried_kernel_words(), kernel));
  out["images_per_second"] = static_cast<double>(config.train.batch_size * options.steps) / seconds;
  out["step_ms"] = 1000 * seconds / static_cast<double>(options.steps);
  out["data_wait_share"] = waited / seconds;
  out["host_ms"] = 1000 * submitted / static_cast<double>(options.steps);
  const auto times = trainer.timer().take();
  for (std::size_t p = 0; p < times.phase.size(); ++p)
    out["phase_ms"][launch::phase_name(static_cast<launch::StepPhase>(p))] = times.phase[p];
  bench::add_peak_memory(out, runtime.device());
  out["first_loss"] = first_loss;
  out["loss"] = trainer.take_means().loss;
  out["skipped"] = trainer.take_skipped().total;
  if (!options.trace.empty()) steps.trace(options.trace);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_benchmark(argc, argv, parse, measure);
}
