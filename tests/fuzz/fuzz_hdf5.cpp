// Score, dynamics and index set files: [choice][HDF5]. Libhdf5 itself is not instrumented; what it
// says of broken files must come out as ours.
#include "prune/error.h"
#include "prune/lists/index_set.h"
#include "prune/tables/dynamics_file.h"
#include "prune/tables/score_table.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned kind = input.choice(4);
  const std::string path = fuzz::input_folder().put("file.h5", input.rest());
  fuzz::expect_reads_or<prune::PruneError>("file.h5", [&] {
    if (kind == 0) (void)prune::read_scores(path);
    if (kind == 1) (void)prune::read_dynamics(path);
    if (kind == 3) (void)prune::DynamicsHistory(path).uncertainty({0, 4}, 2);
    if (kind == 2) (void)prune::read_index_set_hdf5(path, 0);
  });
  return 0;
}
