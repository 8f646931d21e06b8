#include "tests/dist/gpu/fake_nccl_ranks.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

namespace diffprob::tests {

/// New shared memory is zero, which is what all of this starts from.
struct FakeNcclRanks::Memory {
  std::atomic<std::uint64_t> arrived[kMost];  // how often rank r has come to a meeting
  std::byte slots[kMost][kSlotBytes];
};

FakeNcclRanks::FakeNcclRanks(const std::string& name, int rank, int size,
                             std::function<bool()> stop)
    : rank_(rank), size_(size), stop_(std::move(stop)) {
  if (size > kMost) throw std::invalid_argument("a pretended NCCL for 16 ranks at most");
  const int file = ::shm_open(name.c_str(), O_RDWR | O_CREAT, 0600);
  if (file < 0 || ::ftruncate(file, sizeof(Memory)) != 0)
    throw std::runtime_error("no shared memory: " + name);
  void* mapped = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) throw std::runtime_error("shared memory cannot be mapped: " + name);
  memory_ = static_cast<Memory*>(mapped);
  static_cast<void>(meet());
  ::shm_unlink(name.c_str());  // all have it, or nobody will need it; in vain for all but one
}

FakeNcclRanks::~FakeNcclRanks() {
  ::munmap(memory_, sizeof(Memory));
}

bool FakeNcclRanks::meet() {
  const std::uint64_t own = ++memory_->arrived[rank_];
  for (int r = 0; r < size_; ++r) {
    while (memory_->arrived[r] < own) {
      if (stop_()) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }
  return true;
}

bool FakeNcclRanks::exchange(const void* own, std::size_t bytes, const std::function<void()>& use) {
  if (bytes > 0) std::memcpy(memory_->slots[rank_], own, bytes);
  if (!meet()) return false;
  use();
  return meet();
}

const std::byte* FakeNcclRanks::slot(int rank) const {
  return memory_->slots[rank];
}

}  // namespace diffprob::tests
