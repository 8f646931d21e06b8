#pragma once

#include <c10/core/Device.h>

namespace diffprob::launch {

/// From now on the work of this thread goes to a stream of its own: the default stream cannot be
/// recorded, and autograd remembers the stream of the first step. Does nothing for a CPU.
void leave_default_stream(c10::Device device);

}  // namespace diffprob::launch
