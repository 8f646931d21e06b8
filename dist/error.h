#pragma once

#include <stdexcept>
#include <string>

namespace diffprob::dist {

/// A peer or the network failed, or a collective passed its deadline. The communicator must not be
/// used again; the process should end (main calls MpiEnvironment::abort, which wakes the other
/// ranks).
class CommError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace diffprob::dist
