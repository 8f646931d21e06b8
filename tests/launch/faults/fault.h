#pragma once

#include <string>
#include <string_view>

namespace diffprob::faults {

/// What the environment asks for: DIFFPROB_FAULT=POINT:KIND:RANK[:COUNT[:PATH]]. POINT: a name of
/// fault_points.cpp, or write, fsync. KIND: kill, term, usr1, usr1twice, stop, segv, abort, exit0,
/// throw, slow; of write and fsync EIO, ENOSPC, EDQUOT. RANK: the one that suffers. COUNT: at which
/// passage of the point (1). PATH: part of the names of files of which calls of write or fsync
/// fail.
struct Fault {
  std::string point;
  std::string kind;
  int rank = -1;
  int count = 1;
  std::string path;
};

/// The same on every rank; nothing asked for: an empty point.
[[nodiscard]] const Fault& fault();
/// Of this process, from Open MPI's launcher; also before MPI_Init.
[[nodiscard]] int own_rank();

/// A point that every rank passes: the rank in question suffers.
void fault_point(std::string_view point);
/// A point that rank 0 alone passes: rank 0 suffers, or sends the rank in question the signal of
/// that kind.
void fault_point_of_root(std::string_view point);

/// Leaves FIRED in the folder of the test: the case has hit its point.
void note_fired();

}  // namespace diffprob::faults
