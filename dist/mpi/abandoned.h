#pragma once

#include <memory>

namespace diffprob::dist {

/// Keeps a buffer for the rest of the process. A collective that failed may leave MPI requests
/// behind that still read or write their buffers when the late peer turns up; MPI has no way to
/// call a collective back.
void abandon(std::shared_ptr<const void> buffer);

}  // namespace diffprob::dist
