#include "tests/dist/gpu/nccl_on_fake.h"

#include <gtest/gtest.h>

#include <set>

#include "dist/gpu/device.h"
#include "dist/gpu/nccl_communicator.h"
#include "tests/dist/gpu/nccl_under_test.h"
#include "tests/dist/ranks.h"
#include "tests/support/fake_device.h"
#include "tests/support/test_device.h"

namespace diffprob::tests {

at::Device take_fake_device() {
  const at::Device device(kFakeDevices, static_cast<at::DeviceIndex>(world_rank() + 1));
  dist::make_current(device);
  return device;
}

std::unique_ptr<dist::Communicator> connect_fake_nccl(at::Device device,
                                                      dist::Deadlines deadlines) {
  dist::HostCollectives host(deadlines);
  return dist::connect_nccl(device, host, deadlines);
}

namespace {

[[maybe_unused]] const bool pretended_devices_are_there = [] {
  pretended_devices = {take_fake_device,
                       [](at::Device device) { return connect_fake_nccl(device); }};
  return true;
}();

/// Whatever a program tests: all that its ranks did was on their own devices.
class OwnDeviceAlone : public ::testing::Environment {
  void TearDown() override {
    const std::set<int> devices = worked_on_fake_devices();
    EXPECT_TRUE(devices.empty() || devices == std::set<int>{world_rank() + 1})
        << "rank " << world_rank() << " has worked on devices "
        << ::testing::PrintToString(devices);
  }
};
[[maybe_unused]] const auto* const own_device_alone =
    ::testing::AddGlobalTestEnvironment(new OwnDeviceAlone);

}  // namespace

NcclUnderTest make_nccl_under_test() {
  const at::Device device = take_fake_device();
  return {device, connect_fake_nccl(device), ""};
}

}  // namespace diffprob::tests
