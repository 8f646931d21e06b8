// Training steps of the whole program on one device, with images that are there already (uint8 on the device): what the network, the head
// and the optimisers cost without the loader. One JSON line. The peer is peer_train.py, run.sh runs both.
//   train_bench [--warmup=10] [--steps=40] [--classes=93431] [--trace=FILE.json] [--section.key=value ...]      keys of the configuration
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/types.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "dist/mpi_environment.h"
#include "launch/autocast.h"
#include "launch/profile_trace.h"
#include "launch/trainer.h"

namespace {

using namespace diffprob;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kBatches = 4;  // different ones, in turn
constexpr std::int64_t kTriedSteps = 2;
constexpr std::int64_t kTracedSteps = 3;

struct Options {
  std::int64_t warmup = 10;
  std::int64_t steps = 40;
  std::int64_t classes = 93431;
  std::string trace;
  std::vector<launch::Override> config = {{"data.train", "synthetic"}, {"model.dropout", "0"}, {"train.batch_size", "256"}};
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto equals = argument.find('=');
    TORCH_CHECK(argument.starts_with("--") && equals != std::string::npos, "train_bench: want --name=value, got ", argument);
    const std::string name = argument.substr(2, equals - 2);
    const std::string value = argument.substr(equals + 1);
    const std::map<std::string, std::int64_t*> numbers = {
        {"warmup", &options.warmup}, {"steps", &options.steps}, {"classes", &options.classes}};
    if (const auto number = numbers.find(name); number != numbers.end()) {
      *number->second = std::stoll(value);
    } else if (name == "trace") {
      options.trace = value;
    } else {
      options.config.push_back({name, value});
    }
  }
  return options;
}

void synchronize(at::Device device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

c10::CachingDeviceAllocator::DeviceStats memory_of(at::Device device) {
  return c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
}

double peak_mib(const c10::CachingAllocator::StatArray& values) {
  return static_cast<double>(values[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak) / (1 << 20);
}

std::vector<data::Batch> make_batches(std::int64_t rows, std::int64_t classes, at::Device device) {
  std::vector<data::Batch> batches;
  for (std::int64_t i = 0; i < kBatches; ++i) {
    at::manual_seed(static_cast<std::uint64_t>(i));
    batches.push_back({at::randint(0, 256, {rows, 112, 112, 3}, at::kByte).to(device),
                       at::randint(0, classes, {rows}, at::kLong).to(device), at::arange(rows)});
  }
  return batches;
}

nlohmann::ordered_json measure(const Options& options, const launch::Config& config, launch::Runtime& runtime) {
  launch::Trainer trainer(config, options.classes, 1, runtime);
  const std::int64_t rows = runtime.rows_per_rank(config.train.batch_size)[static_cast<std::size_t>(runtime.rank())];
  const auto batches = make_batches(rows, options.classes, runtime.device());
  std::int64_t step = 0;
  const auto run = [&](std::int64_t count) {
    for (const std::int64_t end = step + count; step < end; ++step)
      trainer.step(batches[static_cast<std::size_t>(step % kBatches)], step, 0.01);
    synchronize(runtime.device());
  };
  run(kTriedSteps);  // cuDNN tries algorithms, with memory that later steps do not need
  if (runtime.device().is_cuda()) c10::getDeviceAllocator(runtime.device().type())->resetPeakStats(runtime.device().index());
  run(options.warmup);
  (void)trainer.timer().take();
  const double first_loss = trainer.take_means().loss;

  const auto begin = Clock::now();
  for (const std::int64_t end = step + options.steps; step < end; ++step)
    trainer.step(batches[static_cast<std::size_t>(step % kBatches)], step, 0.01);
  const double submitted = std::chrono::duration<double>(Clock::now() - begin).count();
  synchronize(runtime.device());
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();

  nlohmann::ordered_json out;
  out["network"] = config.model.backbone;
  out["batch"] = config.train.batch_size;
  out["classes"] = options.classes;
  out["precision"] = launch::precision_on(runtime.device(), config.train.precision);
  out["images_per_second"] = static_cast<double>(config.train.batch_size * options.steps) / seconds;
  out["step_ms"] = 1000 * seconds / static_cast<double>(options.steps);
  out["host_ms"] = 1000 * submitted / static_cast<double>(options.steps);
  const auto times = trainer.timer().take();
  for (std::size_t p = 0; p < times.phase.size(); ++p) out["phase_ms"][launch::phase_name(static_cast<launch::Phase>(p))] = times.phase[p];
  if (runtime.device().is_cuda()) {
    const auto memory = memory_of(runtime.device());
    out["peak_mib"] = peak_mib(memory.allocated_bytes);
    out["peak_reserved_mib"] = peak_mib(memory.reserved_bytes);
  }
  out["first_loss"] = first_loss;
  out["loss"] = trainer.take_means().loss;
  out["skipped"] = trainer.take_skipped().total;
  if (!options.trace.empty()) {
    launch::ProfileTrace trace({options.trace, step, kTracedSteps}, runtime.device());
    for (const std::int64_t end = step + kTracedSteps; step < end; ++step) {
      trace.before_step(step);
      trainer.step(batches[static_cast<std::size_t>(step % kBatches)], step, 0.01);
    }
    synchronize(runtime.device());
    trace.finish();
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  dist::MpiEnvironment mpi(&argc, &argv);
  try {
    const Options options = parse(argc, argv);
    const launch::Config config = launch::parse_config("train_bench", "", options.config);
    launch::Runtime runtime(mpi, config);
    const auto result = measure(options, config, runtime);
    if (runtime.is_root()) std::printf("%s\n", result.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    mpi.abort(1);
  }
  return 0;
}
