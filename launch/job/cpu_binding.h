#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dist/mpi/environment.h"
#include "dist/mpi/host_collectives.h"

namespace diffprob::launch {

/// CPUs by the kernel's numbers (hardware threads, not cores), ascending, each once.
using CpuNumbers = std::vector<int>;

/// Reads a list as sysfs writes it: "0-3,8-11", "7", or "" for no CPU; one newline may follow.
/// Returns nothing for any other text, also when numbers do not ascend or exceed 65,535 (Linux has
/// at most 8,192 CPUs).
[[nodiscard]] std::optional<CpuNumbers> parse_cpu_list(std::string_view text);
/// Writes a list that parse_cpu_list reads back.
[[nodiscard]] std::string cpu_list(const CpuNumbers& cpus);

/// CPUs that the calling thread may run on (sched_getaffinity). Where the kernel does not say, all
/// that this machine has.
[[nodiscard]] CpuNumbers allowed_cpus();

/// What bind_near_pci_device found and did.
struct CpuBinding {
  enum class Outcome {
    kBound,        ///< the thread is now bound to those of its CPUs that are near the device
    kAlreadyNear,  ///< all its CPUs are near the device: nothing to do
    kElsewhere,    ///< none of its CPUs is near the device, so somebody bound it elsewhere: left
                   ///< alone
    kUnknown,      ///< the machine does not say which CPUs are near: left alone
    kRefused,      ///< sched_setaffinity failed: left alone
  };
  Outcome outcome = Outcome::kUnknown;
  std::string device;   ///< PCI address
  int node = -1;        ///< NUMA node of the device
  CpuNumbers near;      ///< CPUs of that node
  CpuNumbers allowed;   ///< CPUs that the thread might run on before
  CpuNumbers bound_to;  ///< kBound: those that it may run on now
  std::string why;      ///< kUnknown, kRefused: the reason
};

/// Binds the calling thread to those of its CPUs that are on the NUMA node of a PCI device, here
/// the rank's GPU. Threads that it makes later inherit that, threads that exist do not; memory
/// follows by first touch. Runtime calls it once, on the main thread, before it makes communicators
/// and loaders. Never throws for what the machine or its files lack; CPUs that were not allowed
/// before are never added. Source: SYSFS/bus/pci/devices/ADDRESS/numa_node, then
/// SYSFS/devices/system/node/nodeN/cpulist or, if that file is missing, local_cpulist of the
/// device. `address` is as sysfs writes it ("0000:4e:00.0"), or "" when it is not known; tests pass
/// another `sysfs`.
[[nodiscard]] CpuBinding bind_near_pci_device(const std::string& address,
                                              const std::string& sysfs = "/sys");

/// One line for the log: what was found, what was done, and for kElsewhere what the user can do.
[[nodiscard]] std::string describe(const CpuBinding& binding);

/// Tells the CPUs of every rank on this rank's node, in rank order, `own` among them. Collective:
/// all ranks of the world call it. Throws CommError as dist::HostCollectives do.
[[nodiscard]] std::vector<CpuNumbers> cpus_of_node(const CpuNumbers& own,
                                                   const dist::MpiEnvironment& mpi,
                                                   dist::HostCollectives& control);

/// Number of threads for a rank that may run on the CPUs `own`, at least 1: the number of those
/// CPUs, divided by the number of ranks on its node whose CPUs overlap with them. `of_node` holds
/// the CPUs of every rank on the node, this one's among them.
[[nodiscard]] int threads_per_rank(const CpuNumbers& own, std::span<const CpuNumbers> of_node);

}  // namespace diffprob::launch
