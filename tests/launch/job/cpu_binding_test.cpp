// No test knows which CPUs the machine has: the pretended sysfs is made from those that this
// process may run on, maybe a single one.
#include "launch/job/cpu_binding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>

namespace diffprob::launch {
namespace {

using Outcome = CpuBinding::Outcome;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kAddress = "0000:4e:00.0";
constexpr const char* kNumaNode = "bus/pci/devices/0000:4e:00.0/numa_node";
constexpr const char* kLocalCpus = "bus/pci/devices/0000:4e:00.0/local_cpulist";
constexpr const char* kNode0 = "devices/system/node/node0/cpulist";
constexpr const char* kNode1 = "devices/system/node/node1/cpulist";

/// A temporary folder in place of /sys, the CPUs of this process, and its affinity as it was at the
/// end.
class CpuBindingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::sched_getaffinity(0, sizeof(before_), before_.data()), 0);
    started_with_ = allowed_cpus();
    std::string folder = ::testing::TempDir() + "cpu_binding.XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    sysfs_ = folder;
  }
  void TearDown() override {
    EXPECT_EQ(::sched_setaffinity(0, sizeof(before_), before_.data()), 0);
    std::filesystem::remove_all(sysfs_);
  }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((sysfs_ / name).parent_path());
    std::ofstream(sysfs_ / name) << text;
  }
  [[nodiscard]] CpuBinding bind() const { return bind_near_pci_device(kAddress, sysfs_); }
  /// Half of the CPUs (at least one) that this process was started on, and the others.
  [[nodiscard]] CpuNumbers first_half() const {
    return {started_with_.begin(), started_with_.begin() + (std::ssize(started_with_) + 1) / 2};
  }
  [[nodiscard]] CpuNumbers second_half() const {
    return {started_with_.begin() + (std::ssize(started_with_) + 1) / 2, started_with_.end()};
  }
  [[nodiscard]] bool has_single_cpu() const { return started_with_.size() == 1; }
  void expect_left_alone(const CpuBinding& binding, Outcome outcome) const {
    EXPECT_EQ(binding.outcome, outcome) << describe(binding);
    EXPECT_EQ(binding.allowed, started_with_);
    EXPECT_TRUE(binding.bound_to.empty());
    EXPECT_EQ(allowed_cpus(), started_with_);
  }

  std::filesystem::path sysfs_;
  CpuNumbers started_with_;

 private:
  std::array<cpu_set_t, 16> before_{};  // 16,384 CPUs
};

TEST_F(CpuBindingTest, BindsToTheNodeOfTheDevice) {
  if (has_single_cpu()) GTEST_SKIP() << "this process may run on one CPU only";
  write(kNumaNode, "0\n");
  write(kNode0, cpu_list(first_half()) + "\n");
  write(kNode1, cpu_list(second_half()) + "\n");

  const CpuBinding binding = bind();

  EXPECT_EQ(binding.outcome, Outcome::kBound) << describe(binding);
  EXPECT_EQ(binding.node, 0);
  EXPECT_EQ(binding.near, first_half());
  EXPECT_EQ(binding.allowed, started_with_);
  EXPECT_EQ(binding.bound_to, first_half());
  EXPECT_EQ(allowed_cpus(), first_half());
  EXPECT_THAT(describe(binding), HasSubstr("bound to CPUs " + cpu_list(first_half()) + " of " +
                                           cpu_list(started_with_)));
}

TEST_F(CpuBindingTest, ADeviceOnTheOtherNodeBindsToTheOthers) {
  if (has_single_cpu()) GTEST_SKIP() << "this process may run on one CPU only";
  write(kNumaNode, "1\n");
  write(kNode0, cpu_list(first_half()) + "\n");
  write(kNode1, cpu_list(second_half()) + "\n");

  EXPECT_EQ(bind().outcome, Outcome::kBound);

  EXPECT_EQ(allowed_cpus(), second_half());
}

TEST_F(CpuBindingTest, ThreadsMadeLaterInheritIt) {
  write(kNumaNode, "0\n");
  write(kNode0, cpu_list(first_half()) + "\n");
  EXPECT_EQ(bind().outcome, has_single_cpu() ? Outcome::kAlreadyNear : Outcome::kBound);

  CpuNumbers of_thread;
  std::jthread([&of_thread] { of_thread = allowed_cpus(); }).join();

  EXPECT_EQ(of_thread, first_half());
}

TEST_F(CpuBindingTest, OneNodeForAllLeavesAllCpus) {
  write(kNumaNode, "0\n");
  write(kNode0, cpu_list(started_with_) + "\n");

  expect_left_alone(bind(), Outcome::kAlreadyNear);
}

TEST_F(CpuBindingTest, CpusBeyondThoseThatThereAreAreNotMissed) {
  CpuNumbers near = first_half();
  for (int cpu = CPU_SETSIZE; cpu < 5000; ++cpu) near.push_back(cpu);
  write(kNumaNode, "0\n");
  write(kNode0, cpu_list(near) + "\n");

  const CpuBinding binding = bind();

  EXPECT_EQ(binding.outcome, has_single_cpu() ? Outcome::kAlreadyNear : Outcome::kBound)
      << describe(binding);
  EXPECT_EQ(binding.near, near);
  EXPECT_EQ(allowed_cpus(), first_half());
}

TEST_F(CpuBindingTest, WithoutAListOfTheNodeThatOfTheDeviceIsTaken) {
  write(kNumaNode, "0\n");
  write(kLocalCpus, cpu_list(first_half()) + "\n");

  EXPECT_EQ(bind().near, first_half());

  EXPECT_EQ(allowed_cpus(), first_half());
}

TEST_F(CpuBindingTest, ARankBoundElsewhereIsLeftAloneAndToldSo) {
  const int other = started_with_.back() + 1;
  write(kNumaNode, "1\n");
  write(kNode0, cpu_list(started_with_) + "\n");
  write(kNode1, cpu_list({other, other + 1}) + "\n");

  const CpuBinding binding = bind();

  expect_left_alone(binding, Outcome::kElsewhere);
  const std::string text = describe(binding);
  EXPECT_THAT(text, HasSubstr("GPU 0000:4e:00.0 is on NUMA node 1 with CPUs " +
                              cpu_list({other, other + 1})));
  EXPECT_THAT(text, HasSubstr("started on CPUs " + cpu_list(started_with_)));
  EXPECT_THAT(text, HasSubstr("--cpu-bind=none"));
  EXPECT_THAT(text, Not(HasSubstr("\n")));
}

TEST_F(CpuBindingTest, NoNodeLeavesAllCpus) {
  write(kNode0, cpu_list(first_half()) + "\n");
  write(kLocalCpus, cpu_list(first_half()) + "\n");
  for (const std::string node : {"-1\n", "", "\n", "zero\n", "0x0\n", "0 0\n", "-0\n",
                                 "99999999999999999999\n", "70000\n"}) {
    write(kNumaNode, node);
    expect_left_alone(bind(), Outcome::kUnknown);
  }
}

TEST_F(CpuBindingTest, MissingFilesLeaveAllCpus) {
  expect_left_alone(bind(), Outcome::kUnknown);
  write(kNumaNode, "0\n");
  expect_left_alone(bind(), Outcome::kUnknown);
  std::filesystem::create_directories(sysfs_ / kNode0);  // a folder in place of the file
  expect_left_alone(bind(), Outcome::kUnknown);
  expect_left_alone(bind_near_pci_device(kAddress, sysfs_ / "missing"), Outcome::kUnknown);
  expect_left_alone(bind_near_pci_device("", sysfs_), Outcome::kUnknown);
  expect_left_alone(bind_near_pci_device("../../devices", sysfs_), Outcome::kUnknown);
}

TEST_F(CpuBindingTest, GarbageLeavesAllCpus) {
  write(kNumaNode, "0\n");
  write(kLocalCpus, cpu_list(first_half()) + "\n");
  for (const std::string list :
       {"", "\n", "all\n", "0-\n", "0,,1\n", "0-65536\n", "4294967296\n"}) {
    write(kNode0, list);
    const CpuBinding binding = bind();
    expect_left_alone(binding, Outcome::kUnknown);
    EXPECT_THAT(describe(binding), HasSubstr("node0/cpulist"));
  }
}

TEST(CpuList, IsReadAsTheKernelWritesIt) {
  EXPECT_EQ(parse_cpu_list("0-3,8-11"), (CpuNumbers{0, 1, 2, 3, 8, 9, 10, 11}));
  EXPECT_EQ(parse_cpu_list("7"), CpuNumbers{7});
  EXPECT_EQ(parse_cpu_list("7\n"), CpuNumbers{7});
  EXPECT_EQ(parse_cpu_list("5-5,65535"), (CpuNumbers{5, 65535}));
  EXPECT_EQ(parse_cpu_list(""), CpuNumbers{});
  EXPECT_EQ(parse_cpu_list("0-8191").value_or(CpuNumbers{}).size(), 8192U);
}

TEST(CpuList, NothingElseIsRead) {
  for (const char* text : {"-",
                           "-1",
                           "+1",
                           " 1",
                           "1 ",
                           "1\n\n",
                           "1,",
                           ",1",
                           "1-",
                           "3-1",
                           "1-2-3",
                           "1,1",
                           "2,1",
                           "0-3,3-5",
                           "0x1",
                           "1.5",
                           "0-7:1/2",
                           "65536",
                           "0-65536",
                           "18446744073709551616",
                           "0-99999999999999999999",
                           "1\n2",
                           "a"}) {
    EXPECT_FALSE(parse_cpu_list(text).has_value()) << text;
  }
  EXPECT_FALSE(parse_cpu_list(std::string_view("1\0", 2)).has_value());
}

TEST(CpuList, IsWrittenInRanges) {
  for (const char* text : {"", "0", "0-3", "0-3,8,10-11", "1,3,5", "1023-1024,4000"}) {
    EXPECT_EQ(cpu_list(parse_cpu_list(text).value_or(CpuNumbers{9})), text);
  }
}

CpuNumbers range(int first, int last) {
  CpuNumbers cpus;
  for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  return cpus;
}

TEST(ThreadsPerRank, RanksOnTheSameCpusShareThem) {
  const std::vector<CpuNumbers> of_node(8, range(0, 95));

  EXPECT_EQ(threads_per_rank(of_node[0], of_node), 12);
}

TEST(ThreadsPerRank, CpusOfItsOwnAreNotDivided) {
  std::vector<CpuNumbers> of_node;
  for (int rank = 0; rank < 8; ++rank) of_node.push_back(range(12 * rank, 12 * rank + 11));

  for (const auto& own : of_node) EXPECT_EQ(threads_per_rank(own, of_node), 12);
}

TEST(ThreadsPerRank, RanksBoundToSocketsShareTheirSocket) {
  const std::vector<CpuNumbers> of_node{range(0, 47), range(0, 47), range(0, 47), range(48, 95)};

  EXPECT_EQ(threads_per_rank(of_node[0], of_node), 16);
  EXPECT_EQ(threads_per_rank(of_node[3], of_node), 48);
}

TEST(ThreadsPerRank, EveryRankThatOverlapsCounts) {
  const std::vector<CpuNumbers> of_node{range(0, 95), range(0, 11), range(12, 23)};

  EXPECT_EQ(threads_per_rank(of_node[0], of_node), 32);
  EXPECT_EQ(threads_per_rank(of_node[1], of_node), 6);
}

TEST(ThreadsPerRank, IsAtLeastOne) {
  EXPECT_EQ(threads_per_rank({3}, std::vector<CpuNumbers>(4, {3})), 1);
  EXPECT_EQ(threads_per_rank({0, 1}, std::vector<CpuNumbers>(3, {0, 1})), 1);
  EXPECT_EQ(threads_per_rank({3}, {}), 1);
}

}  // namespace
}  // namespace diffprob::launch
