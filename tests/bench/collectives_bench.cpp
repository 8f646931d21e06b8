// Time of small and large collectives on host tensors, as the control communicator and the CPU training step see it.
// mpirun -np 2 collectives_bench: one JSON object a line. Bus bandwidth: 2 (W - 1) / W * bytes / time, the traffic each rank must bear.
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>

#include "dist/communicator.h"
#include "dist/mpi_environment.h"

namespace {

using namespace diffprob::dist;

/// Median seconds of one all_reduce of n floats, on this rank.
double median_seconds(Communicator& comm, std::int64_t n, int repeats) {
  const auto tensor = torch::zeros({n});
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    comm.all_reduce(tensor)->wait_host();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + repeats / 2, seconds.end());
  return seconds[static_cast<std::size_t>(repeats / 2)];
}

void run(Communicator& comm) {
  for (const std::int64_t n : {1, 256, 4096, 65536, 1 << 20, 25 << 18}) {
    const int repeats = n <= 65536 ? 2000 : 50;
    median_seconds(comm, n, repeats / 10);  // warm-up
    const double seconds = median_seconds(comm, n, repeats);
    const double bytes = static_cast<double>(n) * 4;
    const double traffic = 2.0 * (comm.world_size() - 1) / comm.world_size() * bytes;
    if (comm.rank() == 0) {
      std::printf(
          "{\"bench\": \"all_reduce\", \"device\": \"cpu\", \"world_size\": %d, \"bytes\": %.0f, \"repeats\": %d, \"warm_up\": %d, "
          "\"median_us\": %.1f, \"bus_gb_s\": %.2f}\n",
          comm.world_size(), bytes, repeats, repeats / 10, seconds * 1e6, traffic / seconds * 1e-9);
    }
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
