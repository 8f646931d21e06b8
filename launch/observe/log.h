#pragma once

#include <string>

namespace diffprob::launch {

/// One logger for the program: time, level, rank and world size, message, on stderr. Rank 0 logs
/// info and up, the others warnings and up. Rank 0 keeps its lines for log_to_file(). `command`:
/// for the first line of that file.
void set_up_log(int rank, int world_size, const std::string& command);

/// Appends the lines of this process to a file, from the first on. Does nothing on other ranks than
/// 0, and without set_up_log().
void log_to_file(const std::string& path);

}  // namespace diffprob::launch
