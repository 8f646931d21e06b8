#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dist/mpi/local_reduce.h"

namespace diffprob::dist {

/// Memory that all ranks of a world map, when they live on one node: an all_reduce costs a copy in,
/// a reduction of a share and a copy out, and no system call. This class moves data and says how
/// far each rank is; it never waits (AllReduce does, with the deadline of
/// its transport).
///
/// Pieces are numbered from 1; two slots alternate. For each piece, in this order:
///   publish(p) | all arrived(p) | [publish(p + 1)] | reduce_share(p) | all reduced(p) | collect(p)
///   (large pieces) publish(p) | all arrived(p) | reduce_all(p) (small ones)
/// publish(p + 1) may come no earlier than written: by then every rank has left piece p - 1, whose
/// slot it takes.
class NodeMemory {
 public:
  enum class Stage { kArrived, kReduced };

  /// Bytes of the whole mapping for that many ranks.
  [[nodiscard]] static std::int64_t bytes_for(int world_size);
  /// Creates and reserves a new object of shared memory. False (with errno set) when the node has
  /// not got so much.
  [[nodiscard]] static bool create(const std::string& name, int world_size) noexcept;
  /// Maps what another rank created; null when there is none of that name and size.
  [[nodiscard]] static std::unique_ptr<NodeMemory> open(const std::string& name, int rank,
                                                        int world_size) noexcept;
  /// Takes the name away; mappings stay.
  static void unlink(const std::string& name) noexcept;

  ~NodeMemory();
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;

  /// The longest piece, in bytes.
  [[nodiscard]] std::int64_t slot_bytes() const noexcept { return slot_bytes_; }

  enum class Publish { kAll, kOthersShares };
  /// Shows this rank's elements to the others; returns the number of the piece. With kOthersShares
  /// the own share stays here.
  std::uint64_t publish(const std::byte* data, std::int64_t count, std::int64_t element_bytes,
                        Publish which) noexcept;
  [[nodiscard]] bool reached(Stage stage, std::uint64_t piece) const noexcept;
  /// Ranks that have not reached the stage.
  [[nodiscard]] std::vector<int> behind(Stage stage, std::uint64_t piece) const;
  /// After arrived: bytes that rank r published as this piece.
  [[nodiscard]] std::int64_t published_bytes(int rank, std::uint64_t piece) const noexcept;
  /// data = reduction over the ranks; `data` is what was published with kAll.
  void reduce_all(std::byte* data, std::int64_t count, const LocalReduce& reduce,
                  std::uint64_t piece);
  /// Reduces the own share (`data` is what was published) for everybody to collect.
  void reduce_share(const std::byte* data, std::int64_t count, const LocalReduce& reduce,
                    std::uint64_t piece);
  void collect(std::byte* data, std::int64_t bytes, std::uint64_t piece) const noexcept;

 private:
  struct Flags;
  NodeMemory(std::byte* memory, int rank, int world_size);
  [[nodiscard]] Flags& flags(int rank) const noexcept;
  [[nodiscard]] std::byte* input(int rank, std::uint64_t piece) const noexcept;
  [[nodiscard]] std::byte* result(std::uint64_t piece) const noexcept;

  std::byte* memory_;
  int rank_;
  int world_size_;
  std::int64_t slot_bytes_;
  std::uint64_t published_ = 0;
  std::vector<const std::byte*> inputs_;
};

}  // namespace diffprob::dist
