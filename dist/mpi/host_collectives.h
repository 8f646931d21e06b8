#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "dist/deadlines.h"
#include "dist/reduce_op.h"

namespace diffprob::dist {

/// Collectives over plain values in host memory (scores, manifests, fingerprints), over MPI. No
/// LibTorch here. Every member but rank() and world_size() is collective: all ranks call it, in the
/// same order. Every wait is bounded by the deadline of the current phase and throws CommError that
/// names the operation. Messages beyond INT_MAX bytes are sent in chunks. Each call is recorded
/// with its caller's line (`where`: leave it out), see Communicator. The object owns a duplicate of
/// the communicator, so its traffic never mixes with others'.
class HostCollectives {
 public:
  /// Over MPI_COMM_WORLD. Collective. MpiEnvironment must outlive it.
  explicit HostCollectives(Deadlines deadlines = {});
  ~HostCollectives();
  HostCollectives(const HostCollectives&) = delete;
  HostCollectives& operator=(const HostCollectives&) = delete;

  [[nodiscard]] int rank() const noexcept;
  [[nodiscard]] int world_size() const noexcept;
  /// Not collective: which deadline counts from now on.
  void set_phase(Phase phase) noexcept;
  /// Not collective: the step that is recorded with operations called from now on.
  void set_step(std::int64_t step) noexcept;

  void barrier(std::string_view what, std::source_location where = std::source_location::current());

  /// In place, element-wise. T: float, double, std::int32_t, std::int64_t, std::uint64_t.
  template <class T>
  void all_reduce(std::span<T> values, ReduceOp op,
                  std::source_location where = std::source_location::current());
  template <class T>
  [[nodiscard]] T all_reduce(T value, ReduceOp op,
                             std::source_location where = std::source_location::current()) {
    all_reduce(std::span<T>(&value, 1), op, where);
    return value;
  }

  /// The largest of the numbers (none negative) that the ranks gave in the call before this one, 0
  /// in the first. No round trip in this call: the exchange of its numbers goes on while the ranks
  /// work, and the next call takes the result. Behind a result other than 0, which ends what the
  /// ranks do, the next call is a first one again.
  [[nodiscard]] std::int32_t max_of_last_call(
      std::int32_t own, std::source_location where = std::source_location::current());
  /// Not collective; for loops in which the host waits for a device: lets the exchange of
  /// max_of_last_call go on.
  void progress() noexcept;

  /// One value a rank -> world_size values in rank order, on every rank.
  template <class T>
  [[nodiscard]] std::vector<T> all_gather(
      const T& value, std::source_location where = std::source_location::current()) {
    static_assert(std::is_trivially_copyable_v<T>);
    return all_gather_v(std::span<const T>(&value, 1), nullptr, where);
  }

  /// Any number of values a rank -> all of them in rank order, on every rank. `counts`, if given,
  /// receives values a rank.
  template <class T>
  [[nodiscard]] std::vector<T> all_gather_v(
      std::span<const T> values, std::vector<std::int64_t>* counts = nullptr,
      std::source_location where = std::source_location::current()) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<std::int64_t> byte_counts;
    const auto bytes = gather_bytes(std::as_bytes(values), byte_counts, where);
    return from_bytes<T>(bytes, byte_counts, counts);
  }

  /// values grouped by destination rank (send_counts[r] values go to rank r) -> what all ranks sent
  /// here, in rank order.
  template <class T>
  [[nodiscard]] std::vector<T> all_to_all_v(
      std::span<const T> values, std::span<const std::int64_t> send_counts,
      std::vector<std::int64_t>* counts = nullptr,
      std::source_location where = std::source_location::current()) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<std::int64_t> send_bytes(send_counts.begin(), send_counts.end());
    for (auto& n : send_bytes) n *= static_cast<std::int64_t>(sizeof(T));
    std::vector<std::int64_t> byte_counts;
    const auto bytes = exchange_bytes(std::as_bytes(values), send_bytes, byte_counts, where);
    return from_bytes<T>(bytes, byte_counts, counts);
  }

  /// The root's bytes, on every rank (sizes need not agree before).
  [[nodiscard]] std::string broadcast(std::string value, int root,
                                      std::source_location where = std::source_location::current());

 private:
  struct Impl;
  [[nodiscard]] std::vector<std::byte> gather_bytes(std::span<const std::byte> bytes,
                                                    std::vector<std::int64_t>& counts,
                                                    const std::source_location& where);
  [[nodiscard]] std::vector<std::byte> exchange_bytes(std::span<const std::byte> bytes,
                                                      std::span<const std::int64_t> send_counts,
                                                      std::vector<std::int64_t>& counts,
                                                      const std::source_location& where);
  template <class T>
  static std::vector<T> from_bytes(const std::vector<std::byte>& bytes,
                                   const std::vector<std::int64_t>& byte_counts,
                                   std::vector<std::int64_t>* counts) {
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    if (counts != nullptr) {
      counts->clear();
      for (const auto n : byte_counts) counts->push_back(n / static_cast<std::int64_t>(sizeof(T)));
    }
    return values;
  }
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffprob::dist
