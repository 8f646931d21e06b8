#pragma once

namespace diffprob::launch {

/// One logger for the program: time, level, rank and world size, message, on stderr. Rank 0 logs
/// info and up, the others warnings and up.
void set_up_log(int rank, int world_size);

}  // namespace diffprob::launch
