#pragma once

#include <string>

namespace diffprob::dist {

/// MPI from MPI_Init_thread to MPI_Finalize: one object, first thing in main. Asks for
/// MPI_THREAD_MULTIPLE and throws CommError when it is not granted. Ranks come from MPI alone,
/// never from scheduler variables. Leaving by an exception must go through abort(): a lone
/// MPI_Finalize would wait for ranks that never come.
class MpiEnvironment {
 public:
  MpiEnvironment(int* argc, char*** argv);
  ~MpiEnvironment();
  MpiEnvironment(const MpiEnvironment&) = delete;
  MpiEnvironment& operator=(const MpiEnvironment&) = delete;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int world_size() const noexcept { return world_size_; }
  /// Rank among the processes that share this node's memory (MPI_Comm_split_type SHARED), and how
  /// many they are.
  [[nodiscard]] int local_rank() const noexcept { return local_rank_; }
  [[nodiscard]] int local_size() const noexcept { return local_size_; }
  /// World rank of the first of them: the same on all ranks of a node, another one on each node.
  [[nodiscard]] int node_leader() const noexcept { return node_leader_; }
  [[nodiscard]] const std::string& host_name() const noexcept { return host_name_; }

  /// Ends every rank of the job with this exit code. Flushes stdio first.
  [[noreturn]] void abort(int exit_code) noexcept;

 private:
  int rank_ = 0;
  int world_size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  int node_leader_ = 0;
  std::string host_name_;
};

}  // namespace diffprob::dist
