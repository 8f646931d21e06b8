#include "dist/mpi/check.h"

#include <mpi.h>

#include <string>

#include "dist/error.h"

namespace diffprob::dist {

void check_mpi(int code, std::string_view operation) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw CommError(std::string(operation) + " failed: " + text);
}

}  // namespace diffprob::dist
