// Steps of the classifier head alone on one device, as TrainStep makes them (loss scale,
// forward_backward, SGD of the centres): no network, embeddings are on the device already, in the
// number format that the network would hand over. One JSON line. The peer is peer_head.py.
//   gpu_head_bench [--warmup=5] [--steps=20] [--classes=93431] [--section.key=value ...]
// Keys are those of the configuration: --train.batch_size, --train.precision, --model.sample_rate,
// --model.head_buffer_mib ...
#include <torch/types.h>

#include <chrono>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "data/random/keyed_random.h"
#include "launch/config/precision.h"
#include "launch/train/head_optimizer.h"
#include "launch/train/train_step.h"
#include "model/optim/loss_scaler.h"
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
constexpr double kLearningRate = 0.001;

struct Options {
  std::int64_t warmup = 5;
  std::int64_t steps = 20;
  std::int64_t classes = 93431;
  std::vector<launch::Override> config = {{"train.batch_size", "512"}};
};

Options parse(int argc, char** argv) {
  Options options;
  bench::Arguments{
      {{"warmup", &options.warmup}, {"steps", &options.steps}, {"classes", &options.classes}},
      {},
      options.config}
      .parse(argc, argv);
  return options;
}

class HeadSteps {
 public:
  HeadSteps(const launch::Config& config, std::int64_t classes, launch::Runtime& runtime)
      : rows_(runtime.rows_per_rank(config.train.batch_size)),
        head_(launch::head_options(config, classes, kSeed), runtime.tensors()),
        optimizer_(config.train, head_) {
    const auto precision =
        launch::scalar_type(launch::precision_on(runtime.device(), config.train.precision));
    if (precision == at::kHalf) scaler_.emplace(model::LossScalerOptions{}, runtime.device());
    bench::fill_centres(head_.weight());
    const std::int64_t rows = rows_[static_cast<std::size_t>(runtime.rank())];
    for (std::int64_t i = 0; i < kBatches; ++i) {
      const at::Tensor embeddings =
          at::empty({rows, config.model.network.embedding_dim},
                    at::TensorOptions().dtype(at::kFloat).device(runtime.device()));
      bench::fill_hashed(embeddings, bench::kEmbeddings + i, 1);
      batches_.push_back(
          {embeddings.to(precision), bench::hashed_labels(i, rows, classes, runtime.device())});
    }
  }

  void step() {
    const at::NoGradGuard no_grad;
    const auto& [embeddings, labels] = batches_[static_cast<std::size_t>(step_ % kBatches)];
    model::HeadStepOptions options;
    options.key = data::combine_key(kSeed, static_cast<std::uint64_t>(step_));
    options.centre_gradients = optimizer_.gradients(0);
    if (scaler_) options.loss_scale = scaler_->scale();
    const model::HeadStep head = head_.forward_backward(embeddings, labels, rows_, options);
    (void)head.grad_embeddings.to(embeddings.scalar_type());
    const at::Tensor apply = head.loss.isfinite().to(at::kFloat);
    optimizer_.step({kLearningRate, apply}, step_);
    if (scaler_) scaler_->update(apply);
    loss_ = head.loss;
    ++step_;
  }
  /// Of the last step.
  [[nodiscard]] double loss() const { return loss_.item<double>(); }

 private:
  struct Batch {
    at::Tensor embeddings;  ///< [rows, D]
    at::Tensor labels;      ///< [rows]
  };
  std::vector<std::int64_t> rows_;
  model::ShardedHead head_;
  launch::HeadOptimizer optimizer_;
  std::optional<model::LossScaler> scaler_;
  std::vector<Batch> batches_;
  std::int64_t step_ = 0;
  at::Tensor loss_;
};

nlohmann::ordered_json measure(const Options& options, const launch::Config& config,
                               launch::Runtime& runtime) {
  HeadSteps steps(config, options.classes, runtime);
  steps.step();
  const double first_loss = steps.loss();
  for (std::int64_t i = 1; i < kTriedSteps; ++i) steps.step();
  bench::synchronize(runtime.device());
  bench::reset_peak_memory(runtime.device());
  for (std::int64_t i = 0; i < options.warmup; ++i) steps.step();
  bench::synchronize(runtime.device());

  const auto begin = Clock::now();
  for (std::int64_t i = 0; i < options.steps; ++i) steps.step();
  bench::synchronize(runtime.device());
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();

  nlohmann::ordered_json out = {
      {"bench", "head"}, {"side", "ours"}, {"device", runtime.device().is_cpu() ? "cpu" : "cuda"}};
  out["batch"] = config.train.batch_size;
  out["classes"] = options.classes;
  out["sample_rate"] = config.model.head.sample_rate;
  out["precision"] = launch::word_of(
      launch::precision_words(), launch::precision_on(runtime.device(), config.train.precision));
  out["images_per_second"] = static_cast<double>(config.train.batch_size * options.steps) / seconds;
  out["step_ms"] = 1000 * seconds / static_cast<double>(options.steps);
  bench::add_peak_memory(out, runtime.device());
  out["first_loss"] = first_loss;
  out["loss"] = steps.loss();
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_benchmark(argc, argv, parse, measure);
}
