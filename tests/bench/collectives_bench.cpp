// Time of all_reduce on host tensors, as the control communicator and the CPU training step see it,
// beside plain MPI_Allreduce, turn and turn about in the same run; and of the same number of
// gradients as bfloat16 (half the bytes). mpirun -np 2 collectives_bench: one JSON object a line.
// Bus bandwidth: 2 (W - 1) / W * bytes / time, the traffic each rank must bear.
#include <mpi.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "dist/communicator.h"
#include "dist/mpi/environment.h"

namespace {

using namespace diffprob::dist;

constexpr int kRounds = 5;

template <class Operation>
void time_into(std::vector<double>& seconds, int repeats, Operation operation) {
  for (int i = 0; i < repeats / 10 + 1; ++i) operation();  // warm-up
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    operation();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
}

struct Result {
  const char* implementation;
  const char* dtype;
  double bytes;
  std::vector<double> seconds;
};

void print(Result& result, int world_size) {
  std::sort(result.seconds.begin(), result.seconds.end());
  const double median = result.seconds[result.seconds.size() / 2];
  const double traffic = 2.0 * (world_size - 1) / world_size * result.bytes;
  std::printf(
      "{\"bench\": \"all_reduce\", \"device\": \"cpu\", \"implementation\": \"%s\", \"dtype\": "
      "\"%s\", \"world_size\": %d, \"bytes\": "
      "%.0f, "
      "\"repeats\": %zu, \"rounds\": %d, \"median_us\": %.1f, \"least_us\": %.1f, \"bus_gb_s\": "
      "%.2f}\n",
      result.implementation, result.dtype, world_size, result.bytes, result.seconds.size(), kRounds,
      median * 1e6, result.seconds.front() * 1e6, traffic / median * 1e-9);
}

void run(Communicator& comm) {
  for (const std::int64_t n : {1, 1024, 65536, 25 << 18}) {
    const int repeats = n <= 1024 ? 400 : n <= 65536 ? 100 : 5;
    const auto wide = torch::zeros({n});
    const auto narrow = torch::zeros({n}, torch::kBFloat16);
    const double bytes = static_cast<double>(n) * 4;
    Result ours{"diffprob", "float32", bytes, {}};
    Result half{"diffprob", "bfloat16", bytes / 2, {}};
    Result plain{"MPI_Allreduce", "float32", bytes, {}};
    for (int round = 0; round < kRounds; ++round) {
      time_into(ours.seconds, repeats, [&] { comm.all_reduce(wide)->wait_host(); });
      time_into(plain.seconds, repeats, [&] {
        MPI_Allreduce(MPI_IN_PLACE, wide.data_ptr(), static_cast<int>(n), MPI_FLOAT, MPI_SUM,
                      MPI_COMM_WORLD);
      });
      time_into(half.seconds, repeats, [&] { comm.all_reduce(narrow)->wait_host(); });
    }
    if (comm.rank() != 0) continue;
    for (auto* result : {&ours, &plain, &half}) print(*result, comm.world_size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  MpiEnvironment mpi(&argc, &argv);
  try {
    const auto comm = make_mpi_communicator();
    run(*comm);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    mpi.abort(1);
  }
  return 0;
}
