#include "launch/plan/activations.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/alignment.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include "model/networks/backbone.h"

namespace diffprob::launch {
namespace {

constexpr std::uint8_t kPriority = 1;  // that of the host allocator of this program

/// Counts the bytes of live tensors. Each block has its size in front.
class CountingAllocator final : public c10::Allocator {
 public:
  /// Lives until the process ends, because tensors know it.
  static CountingAllocator& instance() {
    static auto* const allocator = new CountingAllocator;
    return *allocator;
  }

  void reset() {
    live_ = 0;
    peak_ = 0;
  }
  [[nodiscard]] std::int64_t peak() const { return peak_; }

  c10::DataPtr allocate(std::size_t bytes) override {
    const std::size_t whole = (bytes + 2 * kAlignment - 1) / kAlignment * kAlignment;
    auto* const block = static_cast<std::byte*>(std::aligned_alloc(kAlignment, whole));
    if (block == nullptr) throw std::bad_alloc();
    std::memcpy(block, &bytes, sizeof bytes);
    const std::int64_t live = live_ += static_cast<std::int64_t>(bytes);
    std::int64_t peak = peak_;
    while (live > peak && !peak_.compare_exchange_weak(peak, live)) {
    }
    void* const data = block + kAlignment;
    return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
  }
  [[nodiscard]] c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

 private:
  static constexpr std::size_t kAlignment = c10::gAlignment;

  static void free_block(void* data) {
    if (data == nullptr) return;
    std::byte* const block = static_cast<std::byte*>(data) - kAlignment;
    std::size_t bytes = 0;
    std::memcpy(&bytes, block, sizeof bytes);
    instance().live_ -= static_cast<std::int64_t>(bytes);
    std::free(block);
  }

  std::atomic<std::int64_t> live_{0};
  std::atomic<std::int64_t> peak_{0};
};

/// Has the counting allocator make all tensors of the host while it lives.
class Counted {
 public:
  Counted() : before_(c10::GetCPUAllocator()) {
    CountingAllocator::instance().reset();
    c10::SetCPUAllocator(&CountingAllocator::instance(), kPriority);
  }
  ~Counted() { c10::SetCPUAllocator(before_, kPriority); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  [[nodiscard]] std::int64_t peak() const { return CountingAllocator::instance().peak(); }

 private:
  c10::Allocator* before_;
};

/// Bytes at the peak of a step on so many images.
std::int64_t peak_of_step(model::Backbone& network, std::int64_t images) {
  const Counted counted;
  const at::Tensor faces = at::zeros({images, 3, 112, 112});
  network.forward(faces).sum().backward();
  return counted.peak();
}

}  // namespace

NetworkMemory network_memory(const model::BackboneOptions& options) {
  model::BackboneOptions alone = options;
  alone.sync_batch_norm = nullptr;
  const auto network = model::make_backbone(alone);
  network->train();
  NetworkMemory memory;
  for (const auto& parameter : network->parameters()) {
    memory.parameters += parameter.numel();
    if (parameter.requires_grad()) parameter.mutable_grad() = at::zeros_like(parameter);
  }
  for (const auto& buffer : network->buffers()) memory.buffers += buffer.numel();
  const std::int64_t two = peak_of_step(*network, 2);
  memory.bytes_per_image = std::max<std::int64_t>(0, peak_of_step(*network, 3) - two);
  return memory;
}

}  // namespace diffprob::launch
