#pragma once

#include <string>

#include "data/error.h"
#include "dist/mpi/agreement.h"

namespace diffprob::eval {

/// Forwards to dist::together, which callers should use; this name goes with its last caller,
/// launch/evaluate/eval_command.cpp. The name of the work is no longer part of the message.
template <class F>
void together(dist::HostCollectives& control, const std::string& /*what*/, const F& work) {
  dist::together<data::DataError>(control, work);
}

}  // namespace diffprob::eval
