#pragma once

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <nlohmann/json.hpp>

/// Waits for a device, and what a device's allocator has given out. On a CPU both do nothing.
namespace diffprob::bench {

inline void synchronize(at::Device device) {
  if (!device.is_cpu())
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

/// Peaks from now on; memory that is cached and not in use goes back to the device first.
inline void reset_peak_memory(at::Device device) {
  if (device.is_cpu()) return;
  auto* allocator = c10::getDeviceAllocator(device.type());
  allocator->emptyCache();
  allocator->resetPeakStats(device.index());
}

/// Keys "peak_mib" and "peak_reserved_mib".
inline void add_peak_memory(nlohmann::ordered_json& out, at::Device device) {
  if (device.is_cpu()) return;
  const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  const auto peak = [](const c10::CachingAllocator::StatArray& values) {
    return static_cast<double>(
               values[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak) /
           (1 << 20);
  };
  out["peak_mib"] = peak(stats.allocated_bytes);
  out["peak_reserved_mib"] = peak(stats.reserved_bytes);
}

}  // namespace diffprob::bench
