#include "launch/job/cpu_binding.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <thread>

namespace diffprob::launch {
namespace {

constexpr int kCpuLimit = 1 << 16;            // numbers in files and masks stay below
constexpr std::size_t kFileLimit = 64 << 10;  // bytes; a page holds what sysfs has

struct FreeCpus {
  void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
};
using CpuMask = std::unique_ptr<cpu_set_t, FreeCpus>;

/// Takes a number below kCpuLimit off the front.
std::optional<int> take_number(std::string_view& text) {
  unsigned value = 0;  // unsigned: from_chars takes no sign then
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value >= kCpuLimit) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return static_cast<int>(value);
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(kFileLimit, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return std::nullopt;
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

/// The number of a NUMA node, or -1 for none ("-1\n") and for what is no number.
int parse_node(std::string_view text) {
  const auto node = take_number(text);
  take(text, '\n');
  return node && text.empty() ? *node : -1;
}

/// Fills in node and near, or why they are not known.
void find_near_cpus(CpuBinding& binding, const std::string& sysfs) {
  if (binding.device.empty() || binding.device.find('/') != std::string::npos) {
    binding.why = "its PCI address is unknown";
    return;
  }
  const std::string folder = sysfs + "/bus/pci/devices/" + binding.device;
  binding.node = parse_node(read_file(folder + "/numa_node").value_or(""));
  if (binding.node < 0) {
    binding.why = folder + "/numa_node names no NUMA node";
    return;
  }
  std::string path =
      sysfs + "/devices/system/node/node" + std::to_string(binding.node) + "/cpulist";
  std::optional<std::string> text = read_file(path);
  if (!text) text = read_file(path = folder + "/local_cpulist");
  const std::optional<CpuNumbers> near = text ? parse_cpu_list(*text) : std::nullopt;
  if (near) binding.near = *near;
  if (binding.near.empty())
    binding.why = path + (!text  ? " cannot be read"
                          : near ? " names no CPU"
                                 : " is not a list of CPUs");
}

bool allow_only(const CpuNumbers& cpus) {
  const std::size_t bits = static_cast<std::size_t>(cpus.back()) + 1;
  const CpuMask mask(CPU_ALLOC(bits));
  const std::size_t bytes = CPU_ALLOC_SIZE(bits);
  if (mask == nullptr) return false;
  CPU_ZERO_S(bytes, mask.get());
  for (const int cpu : cpus) CPU_SET_S(static_cast<std::size_t>(cpu), bytes, mask.get());
  return ::sched_setaffinity(0, bytes, mask.get()) == 0;
}

CpuNumbers common_cpus(const CpuNumbers& a, const CpuNumbers& b) {
  CpuNumbers common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return common;
}

}  // namespace

std::optional<CpuNumbers> parse_cpu_list(std::string_view text) {
  CpuNumbers cpus;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty()) return cpus;
  do {
    const auto first = take_number(text);
    if (!first || (!cpus.empty() && *first <= cpus.back()))
      return std::nullopt;  // ascending: so a file cannot ask for endless memory
    const auto last = take(text, '-') ? take_number(text) : first;
    if (!last || *last < *first) return std::nullopt;
    for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
  } while (take(text, ','));
  if (!text.empty()) return std::nullopt;
  return cpus;
}

std::string cpu_list(const CpuNumbers& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (last != i) text += "-" + std::to_string(cpus[last]);
    i = last + 1;
  }
  return text;
}

CpuNumbers allowed_cpus() {
  for (std::size_t bits = CPU_SETSIZE; bits <= kCpuLimit;
       bits *= 2) {  // EINVAL: the kernel's masks are longer
    const CpuMask mask(CPU_ALLOC(bits));
    const std::size_t bytes = CPU_ALLOC_SIZE(bits);
    if (mask == nullptr) break;
    CPU_ZERO_S(bytes, mask.get());
    if (::sched_getaffinity(0, bytes, mask.get()) != 0) {
      if (errno == EINVAL) continue;
      break;
    }
    CpuNumbers cpus;
    for (std::size_t cpu = 0; cpu < bits; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, mask.get())) cpus.push_back(static_cast<int>(cpu));
    }
    return cpus;
  }
  CpuNumbers all(std::max(1u, std::thread::hardware_concurrency()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

CpuBinding bind_near_pci_device(const std::string& address, const std::string& sysfs) {
  CpuBinding binding;
  binding.device = address;
  binding.allowed = allowed_cpus();
  find_near_cpus(binding, sysfs);
  if (binding.near.empty()) return binding;

  const CpuNumbers common = common_cpus(binding.allowed, binding.near);
  if (common.empty()) {
    binding.outcome = CpuBinding::Outcome::kElsewhere;
  } else if (common.size() == binding.allowed.size()) {
    binding.outcome = CpuBinding::Outcome::kAlreadyNear;
  } else if (allow_only(common)) {
    binding.outcome = CpuBinding::Outcome::kBound;
    binding.bound_to = common;
  } else {
    binding.outcome = CpuBinding::Outcome::kRefused;
    binding.why = std::string("sched_setaffinity: ") + std::strerror(errno);
  }
  return binding;
}

std::string describe(const CpuBinding& binding) {
  const std::string gpu = "GPU" + (binding.device.empty() ? "" : " " + binding.device);
  const std::string place = gpu + " is on NUMA node " + std::to_string(binding.node) +
                            " with CPUs " + cpu_list(binding.near);
  const std::string allowed = cpu_list(binding.allowed);
  switch (binding.outcome) {
    case CpuBinding::Outcome::kBound:
      return place + "; threads of this rank are bound to CPUs " + cpu_list(binding.bound_to) +
             " of " + allowed;
    case CpuBinding::Outcome::kAlreadyNear:
      return place + "; threads of this rank already run there, on CPUs " + allowed;
    case CpuBinding::Outcome::kElsewhere:
      return place + ", but this rank was started on CPUs " + allowed +
             " only: its copies to the GPU cross the sockets. Start ranks unbound (mpirun "
             "--bind-to none, srun --cpu-bind=none), or bind "
             "each one near its GPU";
    case CpuBinding::Outcome::kRefused:
      return place + ", but threads of this rank cannot be bound to them (" + binding.why +
             ") and stay on CPUs " + allowed;
    case CpuBinding::Outcome::kUnknown:
      break;
  }
  return gpu + ": its nearest CPUs are unknown (" + binding.why +
         "); threads of this rank stay on CPUs " + allowed;
}

std::vector<CpuNumbers> cpus_of_node(const CpuNumbers& own, const dist::MpiEnvironment& mpi,
                                     dist::HostCollectives& control) {
  const std::vector<int> nodes = control.all_gather(mpi.node_leader());
  const std::string list =
      cpu_list(own);  // mostly a few characters, where the numbers of a large node take kilobytes
  std::vector<std::int64_t> lengths;
  const std::vector<char> lists =
      control.all_gather_v(std::span<const char>(list.data(), list.size()), &lengths);
  std::vector<CpuNumbers> of_node;
  const char* next = lists.data();
  for (std::size_t rank = 0; rank < nodes.size(); ++rank) {
    const auto length = static_cast<std::size_t>(lengths[rank]);
    if (nodes[rank] == mpi.node_leader())
      of_node.push_back(parse_cpu_list({next, length}).value_or(CpuNumbers()));
    next += length;
  }
  return of_node;
}

int threads_per_rank(const CpuNumbers& own, std::span<const CpuNumbers> of_node) {
  const auto shares = [&own](const CpuNumbers& other) { return !common_cpus(own, other).empty(); };
  const auto ranks =
      std::max<std::ptrdiff_t>(1, std::count_if(of_node.begin(), of_node.end(), shares));
  return static_cast<int>(std::max<std::ptrdiff_t>(1, std::ssize(own) / ranks));
}

}  // namespace diffprob::launch
