#pragma once

#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

/// Runs CUDA kernels on the host, one block after the other, each thread of a block on a stack of
/// its own: what a launch does, barriers and shuffles included, can be tested where no GPU is. No
/// speed, no caches, no races between blocks. as_host_code.py makes C++ of a .cu.
namespace diffprob::tests::simt {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

struct Dim3 {
  Dim3(unsigned width, unsigned height = 1, unsigned depth = 1) : x(width), y(height), z(depth) {}
  unsigned x, y, z;
};

/// What stands between <<< and >>>.
struct Launch {
  Launch(Dim3 blocks, Dim3 block_threads, std::size_t shared = 0, void* /*stream*/ = nullptr)
      : grid(blocks), threads(block_threads), shared_bytes(shared) {}
  Dim3 grid;
  Dim3 threads;
  std::size_t shared_bytes;
};

constexpr unsigned kWarp = 32;
constexpr std::size_t kSharedBytes = 48 << 10;  ///< that a block has without asking for more

/// The block that runs, for the functions that kernels call.
class Block {
 public:
  /// Throws std::runtime_error when threads wait for each other for ever, or a kernel throws.
  void run(const Launch& launch, Index block, const std::function<void()>& kernel);

  /// __syncthreads(): every thread of the block that has not ended.
  void wait_for_block();
  /// Returns what lane `from` of this warp gives. Every lane must take part: one that has ended is
  /// an error.
  template <class T>
  T shuffle(T value, unsigned from) {
    static_assert(sizeof(T) <= sizeof(std::uint64_t));
    Warp& warp = warps_[current_ / kWarp];
    __builtin_memcpy(&warp.values[current_ % kWarp], &value, sizeof(T));
    wait_for_warp();
    T found;
    __builtin_memcpy(&found, &warp.values[from % kWarp], sizeof(T));
    wait_for_warp();  // before a later one overwrites the values
    return found;
  }
  [[nodiscard]] unsigned lane() const { return current_ % kWarp; }

 private:
  /// A barrier: how often it has opened, and how many wait.
  struct Gate {
    std::uint64_t opened = 0;
    unsigned waiting = 0;
  };
  struct Warp {
    Gate gate;
    unsigned lanes = 0, ended = 0;
    std::array<std::uint64_t, kWarp> values{};
  };
  struct Thread {
    ucontext_t context;
    Index index;
    bool ended = false;
  };
  void wait(Gate& gate, unsigned all);
  void wait_for_warp();
  void start(const Launch& launch);
  void end_thread();
  static void enter();

  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<std::byte> stacks_;
  Gate gate_;
  ucontext_t scheduler_{};
  const std::function<void()>* kernel_ = nullptr;
  unsigned current_ = 0;
  unsigned alive_ = 0;
  std::uint64_t progress_ = 0;  ///< gates opened and threads ended
  const char* fault_ = nullptr;
};

inline thread_local Block block;

/// Of the kernel that runs, as its code names them.
inline thread_local Index thread_index, block_index;
inline thread_local Dim3 grid_size{1}, block_size{1};
/// What `extern __shared__` names; filled with not-a-numbers before each block.
alignas(16) inline thread_local std::array<std::byte, kSharedBytes> shared_memory;

void run_grid(const Launch& launch, const std::function<void()>& kernel);

template <class... Parameters>
auto kernel(void (*function)(Parameters...), const Launch& launch) {
  return [function, launch](Parameters... arguments) {
    run_grid(launch, [&] { function(arguments...); });
  };
}

}  // namespace diffprob::tests::simt
