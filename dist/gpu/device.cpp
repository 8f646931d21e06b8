#include "dist/gpu/device.h"

#include <cstdlib>

#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include "dist/gpu/cuda_device.h"
#include "dist/mpi/host_collectives.h"

namespace diffprob::dist {
namespace {

struct RankDevices {
  int rank;
  int local_rank;
  int count;
};

}  // namespace

at::Device choose_device(DeviceRequest request, const MpiEnvironment& mpi) {
  // All ranks see what all have, so that all throw or none does.
  const CudaDevices own = request == DeviceRequest::kCpu ? CudaDevices{} : find_cuda_devices();
  HostCollectives collectives;
  const auto ranks = collectives.all_gather(RankDevices{mpi.rank(), mpi.local_rank(), own.count});
  const auto wants = collectives.all_gather(request);
  for (const DeviceRequest want : wants)
    TORCH_CHECK(want == wants.front(), "device: the ranks were asked for different devices");
  if (request == DeviceRequest::kCpu) return at::kCPU;

  if (std::getenv("DIFFPROB_TEST_SHARED_GPU") != nullptr)
    return {at::kCUDA, 0};  // see make_nccl_communicator
  bool any = false;
  for (const auto& rank : ranks) any = any || rank.count > 0;
  if (request == DeviceRequest::kAuto && !any) return at::kCPU;
  for (const auto& rank : ranks) {
    TORCH_CHECK(rank.count > 0, "device: rank ", rank.rank, " has no usable GPU",
                rank.rank == mpi.rank() ? " (" + own.why_none + ")" : std::string(),
                "; all ranks must run on the same kind of device");
    TORCH_CHECK(rank.local_rank < rank.count || rank.count == 1, "device: rank ", rank.rank,
                " has local rank ", rank.local_rank, " on its node but sees ", rank.count,
                " GPUs: start one rank per GPU, make a separate GPU visible to each rank, or use "
                "device=cpu");
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(own.count == 1 ? 0 : mpi.local_rank())};
}

void make_current(at::Device device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
}

std::string describe_devices() {
  return find_cuda_devices().description;
}

}  // namespace diffprob::dist
