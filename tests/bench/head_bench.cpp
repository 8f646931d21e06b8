// One training step of ShardedHead and its optimiser, on the CPU: dense with a whole gradient,
// dense and chunked with the fused update, sampled, bfloat16; then score(). Usage: [mpirun -np W]
// head_bench [B] [D] [steps] [C ...]; 512, 512, 3 and 10572 100000 1000000. Prints one JSON line a
// mode on rank 0, "step_ms" the fastest of the steps. "extra": peak resident set of the first steps
// less that before them, weights and momenta in place; "limit_products": the matrix products of a
// dense step alone, by at::mm on memory of their own; "ratio" is to the time of "dense". With W
// ranks also "groups_of_G" for each G below W that divides it: a copy of the classes on every G
// ranks, and nothing beside the sum over the copies, as the backward of a network would be.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "dist/mpi/environment.h"
#include "launch/job/host_allocator.h"
#include "model/head/head_sgd.h"
#include "model/head/sharded_head.h"
#include "model/optim/sgd.h"

namespace {

using namespace diffprob;
using model::CentreGradients;

struct Setup {
  std::int64_t classes;
  std::int64_t batch;
  std::int64_t dim;
  int steps;
};

double status_mib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key + ":", 0) == 0) return std::stod(line.substr(key.size() + 1)) / 1024;
  }
  return 0;
}

struct Cost {
  double milliseconds = 0;
  double extra_mib = 0;
};

/// Fastest of the steps after the first, which other work on the machine disturbs least; the peak
/// is that of all.
Cost measure(int steps, dist::Communicator& communicator, const std::function<void(int)>& step) {
  launch::release_kept_host_memory();
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak is what is resident now
  const double before = status_mib("VmRSS");
  std::vector<double> times;
  for (int i = 0; i <= steps; ++i) {
    communicator.barrier()->wait_host();
    const auto start = std::chrono::steady_clock::now();
    step(i);
    communicator.barrier()->wait_host();
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    if (i > 0) times.push_back(elapsed.count());
  }
  return {*std::min_element(times.begin(), times.end()), status_mib("VmHWM") - before};
}

struct Batch {
  torch::Tensor embeddings;
  torch::Tensor labels;
  std::vector<std::int64_t> counts;
};
Batch make_batch(const Setup& setup, const dist::Communicator& communicator) {
  Batch batch;
  for (int r = 0; r < communicator.world_size(); ++r) {
    batch.counts.push_back(setup.batch * (r + 1) / communicator.world_size() -
                           setup.batch * r / communicator.world_size());
  }
  torch::manual_seed(static_cast<std::uint64_t>(communicator.rank()));
  const std::int64_t rows = batch.counts[static_cast<std::size_t>(communicator.rank())];
  batch.embeddings = torch::randn({rows, setup.dim});
  batch.labels = torch::randint(setup.classes, {rows}, torch::kLong);
  return batch;
}

model::HeadOptions head_options(const Setup& setup) {
  model::HeadOptions options;
  options.num_classes = setup.classes;
  options.embedding_dim = setup.dim;
  return options;
}

/// The gradient of all own classes as one tensor, an optimiser over it.
Cost whole_gradient(const Setup& setup, const Batch& batch, dist::Communicator& communicator) {
  auto options = head_options(setup);
  options.max_buffer_bytes = std::int64_t{1} << 40;
  model::ShardedHead head(options, communicator);
  model::Sgd sgd({head.weight()}, {});
  for (auto& momentum : sgd.momenta()) momentum.zero_();
  return measure(setup.steps, communicator, [&](int) {
    (void)head.forward_backward(batch.embeddings, batch.labels, batch.counts);
    sgd.step(0.1);
  });
}

Cost fused(const Setup& setup, const Batch& batch, model::ShardedHead head,
           dist::Communicator& communicator) {
  model::HeadSgd sgd(head.weight(), head.first_class(), {});
  sgd.momentum().zero_();  // zeros are not resident before they are written
  return measure(setup.steps, communicator, [&](int step) {
    const auto key = static_cast<std::uint64_t>(step);
    (void)head.forward_backward(batch.embeddings, batch.labels, batch.counts,
                                {.key = key, .centre_gradients = CentreGradients::kDefer});
    head.begin_reduction();
    sgd.begin_step({0.1, {}}, key);
    head.apply(sgd);
  });
}

Cost fused(const Setup& setup, const Batch& batch, const model::HeadOptions& options,
           dist::Communicator& communicator) {
  return fused(setup, batch, model::ShardedHead(options, communicator), communicator);
}

Cost grouped(const Setup& setup, const Batch& batch, int size, dist::Communicator& communicator) {
  const int rank = communicator.rank();
  std::vector<int> group, between;
  for (int i = 0; i < size; ++i) group.push_back(rank / size * size + i);
  for (int r = rank % size; r < communicator.world_size(); r += size) between.push_back(r);
  const auto inside = communicator.subset("group", group);
  const auto across = communicator.subset("between groups", between);
  return fused(setup, batch, model::ShardedHead(head_options(setup), *inside, {*across, size}),
               communicator);
}

Cost score(const Setup& setup, const Batch& batch, dist::Communicator& communicator) {
  model::ShardedHead head(head_options(setup), communicator);
  return measure(setup.steps, communicator,
                 [&](int) { (void)head.score(batch.embeddings, batch.labels, batch.counts, {}); });
}

/// Three products of [B, D, C_r].
Cost products(const Setup& setup, dist::Communicator& communicator) {
  const std::int64_t local = setup.classes / communicator.world_size();
  const auto x = torch::randn({setup.batch, setup.dim});
  const auto weight = torch::randn({local, setup.dim});
  auto logits = torch::empty({setup.batch, local});
  auto gradient = torch::empty({local, setup.dim});
  auto sums = torch::empty({setup.batch, setup.dim});
  return measure(setup.steps, communicator, [&](int) {
    at::mm_out(logits, x, weight.t());
    at::mm_out(sums, logits, weight);
    at::mm_out(gradient, logits.t(), x);
  });
}

void run(const Setup& setup, dist::Communicator& communicator) {
  const Batch batch = make_batch(setup, communicator);
  double dense_ms = 0;
  const auto print = [&](const char* mode, const Cost& cost) {
    if (communicator.rank() != 0) return;
    std::printf(
        "{\"bench\":\"head\",\"device\":\"cpu\",\"mode\":\"%s\",\"world_size\":%d,\"threads\":%d,"
        "\"C\":%lld,\"B\":%lld,\"D\":%lld,"
        "\"repeats\":%d,\"step_ms\":%.1f,\"extra_mib\":%.1f,\"ratio\":%.3f}\n",
        mode, communicator.world_size(), at::get_num_threads(),
        static_cast<long long>(setup.classes), static_cast<long long>(setup.batch),
        static_cast<long long>(setup.dim), setup.steps, cost.milliseconds, cost.extra_mib,
        cost.milliseconds / dense_ms);
    std::fflush(stdout);
  };
  const Cost dense = whole_gradient(setup, batch, communicator);
  dense_ms = dense.milliseconds;
  print("dense", dense);
  auto options = head_options(setup);
  print("default", fused(setup, batch, options, communicator));
  options.max_buffer_bytes = setup.batch * 4 * 1024;
  print("one_chunk", fused(setup, batch, options, communicator));
  options.max_buffer_bytes = std::int64_t{1} << 40;
  print("dense_fused", fused(setup, batch, options, communicator));
  options = head_options(setup);
  options.sample_rate = 0.1;
  print("sampled_0.1", fused(setup, batch, options, communicator));
  options = head_options(setup);
  options.storage = at::kBFloat16;
  print("bfloat16", fused(setup, batch, options, communicator));
  for (int size = 1; size < communicator.world_size(); ++size) {
    if (communicator.world_size() % size == 0)
      print(("groups_of_" + std::to_string(size)).c_str(),
            grouped(setup, batch, size, communicator));
  }
  print("limit_products", products(setup, communicator));
  print("score", score(setup, batch, communicator));
}

}  // namespace

int main(int argc, char** argv) {
  launch::install_host_allocator();
  dist::MpiEnvironment mpi(&argc, &argv);
  const auto argument = [&](int i, std::int64_t otherwise) {
    return argc > i ? std::stoll(argv[i]) : otherwise;
  };
  const auto communicator = dist::make_mpi_communicator();
  std::vector<std::int64_t> classes{10572, 100000, 1000000};
  if (argc > 4) classes.clear();
  for (int i = 4; i < argc; ++i) classes.push_back(std::stoll(argv[i]));
  const Setup warm_up{500, argument(1, 512), argument(2, 512), 1};
  (void)whole_gradient(warm_up, make_batch(warm_up, *communicator),
                       *communicator);  // libraries take their own memory once
  for (const auto c : classes)
    run({c, argument(1, 512), argument(2, 512), static_cast<int>(argument(3, 3))}, *communicator);
  return 0;
}
