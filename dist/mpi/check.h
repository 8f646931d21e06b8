#pragma once

#include <string_view>

namespace diffprob::dist {

/// Throws CommError "<operation> failed: <text of MPI>" unless `code` is MPI_SUCCESS. For
/// communicators whose errors return.
void check_mpi(int code, std::string_view operation);

}  // namespace diffprob::dist
