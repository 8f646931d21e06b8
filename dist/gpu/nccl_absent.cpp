#include <c10/util/Exception.h>

#include "dist/communicator.h"

namespace diffprob::dist {

std::unique_ptr<Communicator> make_nccl_communicator(at::Device device, Deadlines /*deadlines*/) {
  TORCH_CHECK(false, "no NCCL communicator for ", device,
              ": this build has no CUDA (DIFFPROB_WITH_CUDA was OFF)");
}

}  // namespace diffprob::dist
