#include "launch/observe/memory_use.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <fstream>
#include <limits>
#include <string>

namespace diffprob::launch {
namespace {

/// The allocator of the device, or null while nothing has been allocated there.
c10::DeviceAllocator* allocator_of(c10::Device device) {
  if (device.is_cpu()) return nullptr;
  c10::DeviceAllocator* allocator = c10::getDeviceAllocator(device.type());
  return allocator->initialized() ? allocator : nullptr;
}

void add_host(MemoryUse& use) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {  // "VmHWM:   12345 kB"
    std::int64_t kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) use.host_peak = kibibytes << 10;
    if (word == "VmRSS:" && status >> kibibytes) use.host = kibibytes << 10;
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
}

}  // namespace

MemoryUse memory_use(c10::Device device) {
  MemoryUse use;
  add_host(use);
  if (auto* allocator = allocator_of(device)) {
    const auto stats = allocator->getDeviceStats(device.index());
    const auto& tensors =
        stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
    use.device = tensors.current;
    use.device_peak = tensors.peak;
  }
  return use;
}

void reset_device_peak(c10::Device device) {
  if (auto* allocator = allocator_of(device)) allocator->resetPeakStats(device.index());
}

void give_back_kept_memory(c10::Device device) noexcept {
  if (std::uncaught_exceptions() > 0) return;
  try {
    if (auto* allocator = allocator_of(device)) allocator->emptyCache();
  } catch (const std::exception& error) {
    spdlog::warn("memory cannot be returned to {}: {}", device.str(), error.what());
  }
}

}  // namespace diffprob::launch
