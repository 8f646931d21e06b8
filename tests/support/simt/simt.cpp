#include "tests/support/simt/simt.h"

#include <cstring>

namespace diffprob::tests::simt {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;
constexpr unsigned kMostThreads = 1024;
constexpr unsigned kMostBlocks = 65535;  // in the second and third dimension

}  // namespace

void Block::enter() {
  (*block.kernel_)();
  block.end_thread();
}

void Block::end_thread() {
  Warp& warp = warps_[current_ / kWarp];
  threads_[current_].ended = true;
  ++warp.ended;
  --alive_;
  ++progress_;
  // Those that wait for the whole block wait for one less.
  if (alive_ > 0 && gate_.waiting == alive_) {
    gate_.waiting = 0;
    ++gate_.opened;
  }
  swapcontext(&threads_[current_].context, &scheduler_);
}

void Block::wait(Gate& gate, unsigned all) {
  const std::uint64_t before = gate.opened;
  if (++gate.waiting == all) {
    gate.waiting = 0;
    ++gate.opened;
    ++progress_;
  }
  while (gate.opened == before) swapcontext(&threads_[current_].context, &scheduler_);
}

void Block::wait_for_block() {
  wait(gate_, alive_);
}

void Block::wait_for_warp() {
  Warp& warp = warps_[current_ / kWarp];
  if (warp.ended > 0) fault_ = "a shuffle of all lanes of a warp, some of which have ended";
  wait(warp.gate, warp.lanes);
}

void Block::start(const Launch& launch) {
  const unsigned count = launch.threads.x * launch.threads.y * launch.threads.z;
  if (count == 0 || count > kMostThreads || launch.shared_bytes > kSharedBytes)
    throw std::runtime_error("simt: a launch that no GPU takes");
  threads_.resize(count);
  warps_.assign((count + kWarp - 1) / kWarp, {});
  stacks_.resize(count * kStackBytes);
  gate_ = {};
  alive_ = count;
  fault_ = nullptr;
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = threads_[i];
    thread.ended = false;
    thread.index = {i % launch.threads.x, i / launch.threads.x % launch.threads.y,
                    i / (launch.threads.x * launch.threads.y)};
    ++warps_[i / kWarp].lanes;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = stacks_.data() + i * kStackBytes;
    thread.context.uc_stack.ss_size = kStackBytes;
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, &Block::enter, 0);
  }
}

void Block::run(const Launch& launch, Index block_index_now, const std::function<void()>& kernel) {
  start(launch);
  kernel_ = &kernel;
  block_index = block_index_now;
  std::memset(shared_memory.data(), 0xFF, shared_memory.size());
  while (alive_ > 0) {
    const std::uint64_t before = progress_;
    for (current_ = 0; current_ < threads_.size(); ++current_) {
      if (threads_[current_].ended) continue;
      thread_index = threads_[current_].index;
      swapcontext(&scheduler_, &threads_[current_].context);
    }
    if (fault_ != nullptr) throw std::runtime_error(std::string("simt: ") + fault_);
    if (alive_ > 0 && progress_ == before)
      throw std::runtime_error("simt: threads of a block wait at different barriers");
  }
}

void run_grid(const Launch& launch, const std::function<void()>& kernel) {
  const auto is_possible = [](unsigned blocks) { return blocks > 0 && blocks <= kMostBlocks; };
  if (launch.grid.x == 0 || !is_possible(launch.grid.y) || !is_possible(launch.grid.z))
    throw std::runtime_error("simt: a launch that no GPU takes");
  grid_size = launch.grid;
  block_size = launch.threads;
  for (unsigned z = 0; z < launch.grid.z; ++z) {
    for (unsigned y = 0; y < launch.grid.y; ++y) {
      for (unsigned x = 0; x < launch.grid.x; ++x) block.run(launch, {x, y, z}, kernel);
    }
  }
}

}  // namespace diffprob::tests::simt
