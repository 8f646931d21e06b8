#include "tests/dist/nccl_on_fake.h"

#include "dist/device.h"
#include "dist/nccl_communicator.h"
#include "tests/dist/nccl_under_test.h"
#include "tests/dist/ranks.h"
#include "tests/support/fake_device.h"

namespace diffprob::tests {

at::Device take_fake_device() {
  const at::Device device(kFakeDevices, static_cast<at::DeviceIndex>(world_rank() + 1));
  dist::make_current(device);
  return device;
}

std::unique_ptr<dist::Communicator> connect_fake_nccl(at::Device device, dist::Deadlines deadlines) {
  dist::HostCollectives host(deadlines);
  return dist::connect_nccl(device, host, deadlines);
}

NcclUnderTest make_nccl_under_test() {
  const at::Device device = take_fake_device();
  return {device, connect_fake_nccl(device), ""};
}

}  // namespace diffprob::tests
