// Time and extra memory of one ShardedHead::forward_backward and one score(). Usage: [mpirun -np W] head_bench [C] [B] [D] [steps].
// CPU, B rows over all ranks. Prints one JSON line on rank 0. Extra memory: peak resident set of a step less that before it, this rank.
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

#include <torch/torch.h>

#include "dist/mpi_environment.h"
#include "model/sharded_head.h"

namespace {

using namespace diffprob;

constexpr int kWarmUp = 2;

double status_mib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key + ":", 0) == 0) return std::stod(line.substr(key.size() + 1)) / 1024;
  }
  return 0;
}

struct Cost {
  double milliseconds;
  double extra_mib;
};

template <class Step>
Cost measure(int steps, dist::Communicator& communicator, Step step) {
  for (int i = 0; i < kWarmUp; ++i) step();
  communicator.barrier()->wait_host();
  // Writing 5 sets the peak back to what is resident now.
  std::ofstream("/proc/self/clear_refs") << "5";
  const double before = status_mib("VmRSS");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < steps; ++i) step();
  communicator.barrier()->wait_host();
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  return {elapsed.count() / steps, status_mib("VmHWM") - before};
}

}  // namespace

int main(int argc, char** argv) {
  // Large blocks go back to the system when freed, so that what is resident before a step holds nothing of the last one.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  dist::MpiEnvironment mpi(&argc, &argv);
  const auto argument = [&](int i, std::int64_t otherwise) { return argc > i ? std::stoll(argv[i]) : otherwise; };
  const std::int64_t classes = argument(1, 10572);
  const std::int64_t batch = argument(2, 512);
  const std::int64_t dim = argument(3, 512);
  const int steps = static_cast<int>(argument(4, 10));
  const auto communicator = dist::make_mpi_communicator();
  model::ShardedHead head({.num_classes = classes, .embedding_dim = dim, .margin = {}, .seed = 1}, *communicator);
  std::vector<std::int64_t> counts;
  for (int r = 0; r < mpi.world_size(); ++r) counts.push_back(batch * (r + 1) / mpi.world_size() - batch * r / mpi.world_size());
  const std::int64_t rows = counts[static_cast<std::size_t>(mpi.rank())];
  torch::manual_seed(static_cast<std::uint64_t>(mpi.rank()));
  const auto embeddings = torch::randn({rows, dim});
  const auto labels = torch::randint(classes, {rows}, torch::kLong);

  const Cost train = measure(steps, *communicator, [&] { (void)head.forward_backward(embeddings, labels, counts); });
  const Cost score = measure(steps, *communicator, [&] { (void)head.score(embeddings, labels, counts, {}); });

  const double logits_mib = static_cast<double>(batch * head.local_classes()) * 4 / (1 << 20);
  if (mpi.rank() == 0) {
    std::printf(
        "{\"bench\":\"head\",\"device\":\"cpu\",\"world_size\":%d,\"threads\":%d,\"C\":%lld,\"B\":%lld,\"D\":%lld,\"warm_up\":%d,"
        "\"repeats\":%d,\"step_ms\":%.3f,\"step_extra_mib\":%.1f,\"score_ms\":%.3f,\"score_extra_mib\":%.1f,\"logits_mib\":%.1f}\n",
        mpi.world_size(), at::get_num_threads(), static_cast<long long>(classes), static_cast<long long>(batch),
        static_cast<long long>(dim), kWarmUp, steps, train.milliseconds, train.extra_mib, score.milliseconds, score.extra_mib, logits_mib);
  }
  return 0;
}
