#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace diffprob::tests {

/// Processes of this machine that hand each other bytes through shared memory, in step. Waits end
/// when `stop` says so.
class FakeNcclRanks {
 public:
  static constexpr std::size_t kSlotBytes = 64 << 10;
  static constexpr int kMost = 16;

  /// `name`: the same on all ranks, new for each group. Opens what the first rank creates.
  FakeNcclRanks(const std::string& name, int rank, int size, std::function<bool()> stop);
  ~FakeNcclRanks();
  FakeNcclRanks(const FakeNcclRanks&) = delete;
  FakeNcclRanks& operator=(const FakeNcclRanks&) = delete;

  /// Shows this rank's bytes, at most kSlotBytes, to all, lets `use` read those of rank r at
  /// slot(r), and returns when all have read; or false when it was stopped. All ranks call it with
  /// the same number of bytes.
  [[nodiscard]] bool exchange(const void* own, std::size_t bytes, const std::function<void()>& use);
  [[nodiscard]] const std::byte* slot(int rank) const;
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }

 private:
  struct Memory;
  [[nodiscard]] bool meet();

  int rank_;
  int size_;
  std::function<bool()> stop_;
  Memory* memory_ = nullptr;
};

}  // namespace diffprob::tests
