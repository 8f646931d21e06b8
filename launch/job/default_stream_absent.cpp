#include "launch/job/default_stream.h"

namespace diffprob::launch {

void leave_default_stream(c10::Device /*device*/) {}

}  // namespace diffprob::launch
