// Device choice must hold with and without CUDA, with and without a driver. Own main: choose_device
// wants the process's environment.
#include "dist/gpu/device.h"

#include <c10/core/impl/FakeGuardImpl.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "dist/communicator.h"
#include "dist/error.h"
#include "dist/gpu/cuda_device.h"
#include "launch/job/cpu_binding.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

MpiEnvironment* environment = nullptr;

TEST(Environment, AgreesWithMpi) {
  EXPECT_EQ(environment->rank(), tests::world_rank());
  EXPECT_EQ(environment->world_size(), tests::world_size());
  EXPECT_EQ(environment->local_rank(), environment->rank());  // the test runs on one machine
  EXPECT_EQ(environment->local_size(), environment->world_size());
  EXPECT_FALSE(environment->host_name().empty());
}

TEST(Environment, AsManyDescriptorsAsThisUserMayHave) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_GE(limit.rlim_cur, std::min(limit.rlim_max, rlim_t{1} << 20));
}

TEST(Environment, IsOneAProcess) {
  EXPECT_THROW(MpiEnvironment(nullptr, nullptr), CommError);
}

TEST(CpusOfNode, ComeFromEveryRankInRankOrder) {
  HostCollectives control;
  const auto cpus_of = [](int rank) {
    return rank % 2 == 0 ? launch::CpuNumbers{0, 1, 2, 100 + rank} : launch::CpuNumbers{4000};
  };

  const std::vector<launch::CpuNumbers> of_node =
      launch::cpus_of_node(cpus_of(environment->rank()), *environment, control);

  ASSERT_EQ(std::ssize(of_node), environment->local_size());
  for (int rank = 0; rank < environment->local_size(); ++rank)
    EXPECT_EQ(of_node[static_cast<std::size_t>(rank)], cpus_of(rank));
}

TEST(Devices, AreDescribedInOneLine) {
  const std::string text = describe_devices();
  EXPECT_EQ(text.rfind("CUDA: ", 0), 0U) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(Devices, HaveAPciAddressAsSysfsWritesIt) {
  const int count = find_cuda_devices().count;

  for (int i = 0; i < count; ++i)
    EXPECT_THAT(cuda_pci_address(i),
                ::testing::MatchesRegex("[0-9a-f]+:[0-9a-f]+:[0-9a-f]+[.][0-7]"));
  EXPECT_EQ(cuda_pci_address(count), "");
}

TEST(Devices, TheCpuIsAlwaysThere) {
  EXPECT_EQ(choose_device(DeviceRequest::kCpu, *environment), at::Device(at::kCPU));
}

TEST(Devices, AutoAndCudaFollowTheMachine) {
  const auto text = describe_devices();
  const bool none = text.find("no usable device") != std::string::npos ||
                    text.find("not compiled in") != std::string::npos;
  if (none) {
    EXPECT_EQ(choose_device(DeviceRequest::kAuto, *environment), at::Device(at::kCPU));
    EXPECT_THROW((void)choose_device(DeviceRequest::kCuda, *environment), c10::Error);
  } else if (environment->world_size() == 1) {
    EXPECT_EQ(choose_device(DeviceRequest::kAuto, *environment), at::Device(at::kCUDA, 0));
    EXPECT_EQ(choose_device(DeviceRequest::kCuda, *environment), at::Device(at::kCUDA, 0));
  }
}

/// LibTorch's eight pretended devices, of a kind that nothing else here has.
C10_REGISTER_GUARD_IMPL(PrivateUse1, c10::impl::FakeGuardImpl<c10::DeviceType::PrivateUse1>)

TEST(Devices, TheRanksDeviceBecomesTheCurrentOneOfTheThread) {
  const c10::impl::VirtualGuardImpl devices(c10::DeviceType::PrivateUse1);
  ASSERT_EQ(devices.getDevice().index(), 0);

  make_current(at::Device(c10::DeviceType::PrivateUse1, 3));

  EXPECT_EQ(devices.getDevice().index(), 3);
  make_current(at::kCPU);
  EXPECT_EQ(devices.getDevice().index(), 3);
}

TEST(Devices, NcclRefusesTheCpu) {
  EXPECT_THROW((void)make_nccl_communicator(at::kCPU), c10::Error);
}

}  // namespace
}  // namespace diffprob::dist

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  diffprob::dist::MpiEnvironment mpi(&argc, &argv);
  diffprob::dist::environment = &mpi;
  const char* wanted = std::getenv("DIFFPROB_TEST_RANKS");
  if (wanted == nullptr || std::atoi(wanted) != mpi.world_size()) {
    std::fprintf(stderr, "this test must run on DIFFPROB_TEST_RANKS ranks, but the world has %d\n",
                 mpi.world_size());
    mpi.abort(2);
  }
  return RUN_ALL_TESTS();
}
