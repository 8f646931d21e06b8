#include <c10/cuda/CUDAStream.h>

#include "launch/job/default_stream.h"

namespace diffprob::launch {

void leave_default_stream(c10::Device device) {
  if (device.is_cuda())
    c10::cuda::setCurrentCUDAStream(
        c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index()));
}

}  // namespace diffprob::launch
