// Scoring on one device, as diffprob score does it once images are there (uint8 on the device):
// embeddings by the network rebuilt for speed, the whole score record of every image, and its copy
// to the host. One JSON line. The peer is peer_gpu_score.py.
//   gpu_score_bench [--warmup=3] [--steps=20] [--classes=93431]
//   [--precision=auto|fp32|tf32|fp16|bf16] [--section.key=value ...]
// --precision: of the network (16 bit: score.precision, the head in tf32); auto: tf32 on a GPU,
// fp32 on a CPU. Keys are those of the configuration: --score.batch_per_rank (images),
// --model.backbone ... "first_log_probability": of the own class, mean over the first batch.
#include <torch/types.h>

#include <chrono>
#include <string>

#include <nlohmann/json.hpp>

#include "launch/config/precision.h"
#include "launch/job/runtime.h"
#include "launch/score/score.h"
#include "launch/train/train_step.h"
#include "model/inference/face_embedder.h"
#include "tests/bench/gpu/bench_arguments.h"
#include "tests/bench/gpu/device_meter.h"
#include "tests/bench/gpu/hashed_values.h"
#include "tests/bench/gpu/run_benchmark.h"

namespace {

using namespace diffprob;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kBatches = 4;  // different ones, in turn
constexpr std::int64_t kTriedBatches = 2;

struct Options {
  std::int64_t warmup = 3;
  std::int64_t steps = 20;
  std::int64_t classes = 93431;
  std::string precision = "auto";
  std::vector<launch::Override> config;
};

Options parse(int argc, char** argv) {
  Options options;
  bench::Arguments{
      {{"warmup", &options.warmup}, {"steps", &options.steps}, {"classes", &options.classes}},
      {{"precision", &options.precision}},
      options.config}
      .parse(argc, argv);
  const std::string& precision = options.precision;
  if (precision == "fp16" || precision == "bf16") {
    options.config.push_back({"score.precision", precision});
  } else if (precision != "auto") {
    TORCH_CHECK(precision == "fp32" || precision == "tf32",
                "gpu_score_bench: --precision: expected auto, fp32, tf32, fp16 or bf16, found ",
                precision);
    options.config.push_back({"train.precision", precision});  // decides on TF32 (Runtime)
  }
  return options;
}

std::string used_precision(const Options& options, at::Device device) {
  if (options.precision != "auto") return options.precision;
  return device.is_cpu() ? "fp32" : "tf32";
}

std::shared_ptr<model::Backbone> make_network(const launch::Config& config, at::Device device) {
  const auto backbone = model::make_backbone(
      {.name = config.model.network.name, .embedding_dim = config.model.network.embedding_dim});
  backbone->to(device);
  bench::fill_network(*backbone);
  return backbone;
}

class Scoring {
 public:
  Scoring(const launch::Config& config, std::int64_t classes, launch::Runtime& runtime)
      : rows_(static_cast<std::size_t>(runtime.world_size()), config.score.batch_per_rank),
        backbone_(make_network(config, runtime.device())),
        embedder_(*backbone_, runtime.device(),
                  {config.score.network.fold, config.score.network.type}),
        head_(launch::head_options(config, classes, 1), runtime.tensors()),
        margin_{.kind = model::MarginKind::kNone,
                .scale = config.model.head.margin.scale,
                .margin = 0} {
    bench::fill_centres(head_.weight());
    const std::int64_t rows = rows_[static_cast<std::size_t>(runtime.rank())];
    indices_ = at::arange(rows);
    for (std::int64_t i = 0; i < kBatches; ++i)
      batches_.push_back({bench::hashed_images(i, rows, runtime.device()),
                          bench::hashed_labels(i, rows, classes, runtime.device())});
  }

  void run(std::int64_t count) {
    const at::NoGradGuard no_grad;
    for (const std::int64_t end = next_ + count; next_ < end; ++next_) {
      const auto& [images, labels] = batches_[static_cast<std::size_t>(next_ % kBatches)];
      records_.clear();
      launch::append_records(indices_, head_.score(embedder_.embed(images), labels, rows_, margin_),
                             records_);
    }
  }
  /// Mean over the last batch.
  [[nodiscard]] double log_probability() const {
    double sum = 0;
    for (const auto& record : records_) sum -= static_cast<double>(record.nll);
    return sum / static_cast<double>(records_.size());
  }

 private:
  struct Batch {
    at::Tensor images;
    at::Tensor labels;
  };
  std::vector<std::int64_t> rows_;
  std::shared_ptr<model::Backbone> backbone_;
  model::FaceEmbedder embedder_;
  model::ShardedHead head_;
  model::MarginOptions margin_;
  at::Tensor indices_;
  std::vector<Batch> batches_;
  std::vector<prune::ScoreRecord> records_;
  std::int64_t next_ = 0;
};

nlohmann::ordered_json measure(const Options& options, const launch::Config& config,
                               launch::Runtime& runtime) {
  Scoring scoring(config, options.classes, runtime);
  scoring.run(1);
  const double first = scoring.log_probability();
  scoring.run(kTriedBatches -
              1);  // cuDNN tries algorithms, with memory that later batches do not need
  bench::reset_peak_memory(runtime.device());
  scoring.run(options.warmup);

  const auto begin = Clock::now();
  scoring.run(options.steps);  // ends with records on the host
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();

  nlohmann::ordered_json out = {
      {"bench", "score"}, {"side", "ours"}, {"device", runtime.device().is_cpu() ? "cpu" : "cuda"}};
  out["network"] = config.model.network.name;
  out["batch"] = config.score.batch_per_rank;
  out["classes"] = options.classes;
  out["precision"] = used_precision(options, runtime.device());
  out["images_per_second"] =
      static_cast<double>(config.score.batch_per_rank * options.steps) / seconds;
  out["step_ms"] = 1000 * seconds / static_cast<double>(options.steps);
  bench::add_peak_memory(out, runtime.device());
  out["first_log_probability"] = first;
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_benchmark(argc, argv, parse, measure);
}
