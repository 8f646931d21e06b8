#pragma once

#include <cstdint>

namespace diffprob::launch {

/// LibTorch asks the system for every large host tensor and gives it back at once: each step of a
/// training then pays for the same pages again (a fifth of its processor time for IResNet-18 at
/// batch 32, measured). This allocator keeps blocks of kSmallestKept bytes or more when they are
/// freed, and gives them to the next tensor of about that size; they are mapped as huge pages where
/// the system allows it. Smaller ones go to LibTorch's own allocator. What is mapped stays within
/// 5/4 of the most that tensors ever held at once.
inline constexpr std::int64_t kSmallestKept = std::int64_t{2} << 20;

/// Makes it the allocator of host tensors of this process. Once, before the first tensor; later
/// calls do nothing, and so do builds with sanitizers, which have to see every block freed.
void install_host_allocator();

struct HostAllocations {
  std::int64_t used_bytes = 0;  ///< in tensors, whole blocks
  std::int64_t kept_bytes = 0;  ///< free, waiting for the next tensor
};
/// Of large blocks. Zeros when it is not installed.
[[nodiscard]] HostAllocations host_allocations();

/// Gives free blocks back to the system: for the end of a stage, whose tensors the next one does
/// not need.
void release_kept_host_memory() noexcept;

}  // namespace diffprob::launch
