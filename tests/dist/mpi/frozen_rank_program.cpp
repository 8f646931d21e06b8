// One rank of a job that reduces for ever; the rank given by the second argument stops itself
// (SIGSTOP) at step 20. frozen_rank_program FOLDER RANK DEADLINE_MS [host]: operations are written
// to FOLDER; "host": host values instead of tensors.
#include <torch/types.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "dist/communicator.h"
#include "dist/mpi/environment.h"
#include "dist/mpi/host_collectives.h"
#include "dist/mpi/operations_file.h"

namespace {

using namespace diffprob::dist;

void stop_at(std::int64_t step, bool victim) {
  if (!victim || step != 20) return;
  std::printf("stopping\n");
  std::fflush(stdout);
  std::raise(SIGSTOP);
}

void reduce_tensors(Deadlines deadlines, bool victim) {
  const auto communicator = make_mpi_communicator(deadlines);
  communicator->set_phase(Phase::kStep);
  auto tensor = torch::zeros({100000});
  for (std::int64_t step = 0;; ++step) {
    communicator->set_step(step);
    stop_at(step, victim);
    communicator->all_reduce(tensor)->wait_host();
  }
}

void reduce_values(Deadlines deadlines, bool victim) {
  HostCollectives host(deadlines);
  host.set_phase(Phase::kStep);
  for (std::int64_t step = 0;; ++step) {
    host.set_step(step);
    stop_at(step, victim);
    (void)host.all_reduce(step, ReduceOp::kSum);
  }
}

}  // namespace

int main(int argc, char** argv) {
  MpiEnvironment mpi(&argc, &argv);
  try {
    TORCH_CHECK(argc >= 4, "frozen_rank_program FOLDER RANK DEADLINE_MS [host]");
    set_dump_folder(argv[1]);
    const bool victim = mpi.rank() == std::atoi(argv[2]);
    const Deadlines deadlines{std::chrono::seconds(60),
                              std::chrono::milliseconds(std::atoi(argv[3]))};
    argc > 4 && std::string_view(argv[4]) == "host" ? reduce_values(deadlines, victim)
                                                    : reduce_tensors(deadlines, victim);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "[rank %d] %s\n", mpi.rank(), error.what());
    mpi.abort(3);
  }
  return 0;
}
