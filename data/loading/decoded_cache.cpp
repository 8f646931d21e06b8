#include "data/loading/decoded_cache.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "data/error.h"

namespace diffprob::data {
namespace {

constexpr double kBytesPerGib = 1024.0 * 1024.0 * 1024.0;

std::int64_t bytes_of_image(int side) {
  return std::int64_t{3} * side * side;
}

}  // namespace

DecodedCache::DecodedCache(std::int64_t samples, int image_size)
    : samples_(samples), image_size_(image_size) {
  if (samples < 1 || image_size < 1)
    throw DataError("decoded cache of " + std::to_string(samples) + " images of side " +
                    std::to_string(image_size) + ": both must be at least 1");
  image_bytes_ = static_cast<std::size_t>(bytes_of_image(image_size));
  block_bytes_ = image_bytes_ * static_cast<std::size_t>(samples);
  states_ = std::make_unique<std::atomic<std::uint8_t>[]>(static_cast<std::size_t>(samples));
  void* const block = ::mmap(nullptr, block_bytes_, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED)
    throw DataError("decoded cache: " + std::to_string(block_bytes_) +
                    " bytes of address space cannot be reserved: " + std::strerror(errno) +
                    "; lower data.cache_gib");
  block_ = static_cast<std::uint8_t*>(block);
  static_cast<void>(
      ::madvise(block, block_bytes_, MADV_HUGEPAGE));  // a hint: fewer page faults and TLB misses
}

DecodedCache::~DecodedCache() {
  ::munmap(block_, block_bytes_);
}

std::int64_t DecodedCache::bytes_for(std::int64_t samples, int image_size) noexcept {
  return samples * (bytes_of_image(image_size) + 1);
}

std::shared_ptr<DecodedCache> DecodedCache::when_it_fits(std::int64_t samples, int image_size,
                                                         double gib) {
  if (samples < 1 || static_cast<double>(bytes_for(samples, image_size)) > gib * kBytesPerGib)
    return nullptr;
  return std::make_shared<DecodedCache>(samples, image_size);
}

std::uint8_t* DecodedCache::place(std::int64_t index) const noexcept {
  return block_ + static_cast<std::size_t>(index) * image_bytes_;
}

const std::uint8_t* DecodedCache::find(std::int64_t index) const noexcept {
  return states_[static_cast<std::size_t>(index)].load(std::memory_order_acquire) == kReady
             ? place(index)
             : nullptr;
}

void DecodedCache::store(std::int64_t index, const std::uint8_t* image) noexcept {
  auto& state = states_[static_cast<std::size_t>(index)];
  std::uint8_t expected = kEmpty;
  if (!state.compare_exchange_strong(expected, kFilling, std::memory_order_relaxed)) return;
  std::memcpy(place(index), image, image_bytes_);
  state.store(kReady, std::memory_order_release);
  ++stored_;
}

}  // namespace diffprob::data
