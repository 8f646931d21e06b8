#pragma once

#include "dist/mpi/environment.h"

namespace diffprob::tests {

/// The MPI environment of this test program (made by tests/support/mpi_main.cpp).
[[nodiscard]] dist::MpiEnvironment& mpi();

}  // namespace diffprob::tests
