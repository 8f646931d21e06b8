#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "launch/checkpoint/checkpoint.h"

namespace diffprob::launch {

/// Views of a tensor's values, one after the other in row-major order, of at most `piece_bytes` (at
/// least 1) each or of a single value. A tensor that is not contiguous is cut between rows only:
/// then the least is a row.
[[nodiscard]] std::vector<at::Tensor> pieces_of(const at::Tensor& tensor, std::int64_t piece_bytes);

/// Writes the checkpoints of one training in the background. start() copies the tensors to host
/// memory and returns; a thread a rank writes this rank's files into FOLDER/step_XXXXXXXX.tmp.ID
/// and says so in a small file there; rank 0's thread waits until all ranks have, writes
/// manifest.json, gives the folder its name and removes old checkpoints. The threads use no MPI:
/// the folder must be one that all ranks see. Host memory: one copy of this rank's tensors
/// (page-locked when they are on a GPU), kept between checkpoints.
class CheckpointWriter {
 public:
  /// Bytes of the largest block of host memory. A power of two: LibTorch rounds page-locked blocks
  /// up to one, so that a single block for all class rows could take twice their size, and locks a
  /// block in one call, which larger blocks would make long.
  static constexpr std::int64_t kPieceBytes = std::int64_t{256} << 20;

  /// Collective; makes the folder and clears what a killed run has left half-written. A tensor is
  /// copied to a block of memory for each of its pieces_of `piece_bytes`; the files do not depend
  /// on it.
  CheckpointWriter(std::string folder, Retention retention, dist::HostCollectives& control,
                   std::int64_t piece_bytes = kPieceBytes);
  /// Waits for this rank's files, and on rank 0 some seconds for the other ranks; an error is lost
  /// unless finish() asked before.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Waits for the previous checkpoint as finish() does, copies, and goes on in the background.
  /// Tensors of a GPU may be changed by later work of the current stream only. All ranks, with the
  /// same info. Collective.
  void start(const CheckpointInfo& info, const CheckpointState& state);
  /// Waits until the last checkpoint is whole on disk, or has failed: then throws c10::Error on all
  /// ranks, with the reasons of those that have one. Collective.
  void finish();
  /// The last checkpoint that start() began or resumed() named; "" before. Whole after finish().
  [[nodiscard]] const std::string& newest() const noexcept { return newest_; }
  void resumed(std::string checkpoint) { newest_ = std::move(checkpoint); }

 private:
  struct Job;
  [[noreturn]] void throw_problems(const std::string& own);
  [[nodiscard]] std::vector<model::WeightEntry> copied(const std::string& kind,
                                                       const model::StateDict& entries);
  [[nodiscard]] Job make_job(const CheckpointInfo& info, const CheckpointState& state);

  std::string folder_;
  Retention retention_;
  dist::HostCollectives& control_;
  std::string id_;  ///< of this process group: in the names of temporary folders
  std::int64_t piece_bytes_;
  std::map<std::string, std::vector<at::Tensor>>
      copies_;                         ///< by kind and name: pieces of one tensor
  std::size_t page_locked_bytes_ = 0;  ///< that copies took so far, as LibTorch rounds them
  std::string newest_;
  std::atomic<bool> leaving_{false};
  std::future<void> written_;
};

}  // namespace diffprob::launch
