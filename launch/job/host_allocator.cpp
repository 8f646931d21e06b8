#include "launch/job/host_allocator.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <unordered_map>

#include "launch/job/sanitized.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kHugePage =
    std::size_t{2} << 20;  // also the alignment of our blocks, by which they are told from others
constexpr std::size_t kMostWaste =
    8;  // a kept block is taken when at most 1/8 of the wish is left over
constexpr std::size_t kMostMappedQuarters = 5;

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

bool is_aligned(const void* block) {
  return reinterpret_cast<std::uintptr_t>(block) % kHugePage == 0;
}

/// New zeroed memory at a multiple of the huge page, or null with errno set.
void* map_block(std::size_t bytes) noexcept {
  void* mapped = ::mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const first = static_cast<std::byte*>(mapped);
  const std::size_t head =
      (kHugePage - reinterpret_cast<std::uintptr_t>(first) % kHugePage) % kHugePage;
  std::byte* const block = first + head;
  if (head > 0) ::munmap(first, head);
  ::munmap(block + bytes, kHugePage - head);
  static_cast<void>(::madvise(block, bytes, MADV_HUGEPAGE));  // a hint
  return block;
}

class HostAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes < static_cast<std::size_t>(kSmallestKept)) return small_->allocate(bytes);
    void* const block = take(bytes);
    return {block, block, &HostAllocator::give_back, c10::Device(c10::DeviceType::CPU)};
  }

  /// One deleter for both kinds: LibTorch's raw_allocate() wants it.
  c10::DeleterFnPtr raw_deleter() const override { return &HostAllocator::give_back; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  HostAllocations allocations() {
    const std::lock_guard lock(mutex_);
    return {static_cast<std::int64_t>(used_bytes_), static_cast<std::int64_t>(kept_bytes_)};
  }

  void release() noexcept {
    const std::lock_guard lock(mutex_);
    release_locked();
  }

  /// Never destroyed: tensors of static lifetime end after it would.
  static HostAllocator& instance() {
    static auto* const allocator = new HostAllocator;
    return *allocator;
  }

 private:
  void* take(std::size_t wished) {
    const std::size_t bytes = whole_pages(wished);
    const std::lock_guard lock(mutex_);
    if (const auto found = kept_.lower_bound(bytes);
        found != kept_.end() && found->first - bytes <= bytes / kMostWaste) {
      void* const block = found->second;
      kept_bytes_ -= found->first;
      note_used(block, found->first);
      kept_.erase(found);
      return block;
    }
    limit_kept(bytes);
    void* block = map_block(bytes);
    if (block == nullptr) {
      release_locked();
      block = map_block(bytes);
    }
    TORCH_CHECK(block != nullptr, "host memory: cannot allocate ", bytes >> 20,
                " MiB for a tensor (", std::strerror(errno), "); ", used_bytes_ >> 20,
                " MiB are used by other tensors of this process");
    note_used(block, bytes);
    return block;
  }

  void note_used(void* block, std::size_t bytes) {
    used_.emplace(block, bytes);
    used_bytes_ += bytes;
    most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
  }

  /// Before `bytes` more are mapped: what is mapped stays within kMostMappedQuarters of what
  /// tensors ever held at once.
  void limit_kept(std::size_t bytes) noexcept {
    const std::size_t limit =
        std::max(most_used_bytes_, used_bytes_ + bytes) / 4 * kMostMappedQuarters;
    while (!kept_.empty() && used_bytes_ + kept_bytes_ + bytes > limit) {
      const auto largest = std::prev(kept_.end());
      ::munmap(largest->second, largest->first);
      kept_bytes_ -= largest->first;
      kept_.erase(largest);
    }
  }

  static void give_back(void* block) {
    if (block == nullptr) return;
    if (!is_aligned(block) || !instance().keep(block)) instance().small_->raw_deallocate(block);
  }

  /// False: the block is not ours.
  bool keep(void* block) {
    const std::lock_guard lock(mutex_);
    const auto found = used_.find(block);
    if (found == used_.end()) return false;
    kept_.emplace(found->second, block);
    kept_bytes_ += found->second;
    used_bytes_ -= found->second;
    used_.erase(found);
    return true;
  }

  void release_locked() noexcept {
    for (const auto& [bytes, block] : kept_) ::munmap(block, bytes);
    kept_.clear();
    kept_bytes_ = 0;
  }

  c10::Allocator* small_ = c10::GetDefaultCPUAllocator();
  std::mutex mutex_;
  std::unordered_map<void*, std::size_t> used_;
  std::multimap<std::size_t, void*> kept_;
  std::size_t used_bytes_ = 0;
  std::size_t most_used_bytes_ = 0;
  std::size_t kept_bytes_ = 0;
};

bool is_installed() {
  return c10::GetCPUAllocator() == &HostAllocator::instance();
}

}  // namespace

void install_host_allocator() {
  if constexpr (!kSanitized) c10::SetCPUAllocator(&HostAllocator::instance(), /*priority=*/1);
}

HostAllocations host_allocations() {
  return is_installed() ? HostAllocator::instance().allocations() : HostAllocations{};
}

void release_kept_host_memory() noexcept {
  HostAllocator::instance().release();
}

}  // namespace diffprob::launch
