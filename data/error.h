#pragma once

#include <stdexcept>

namespace diffprob::data {

/// A file or record that is not what it should be. The message names file, record or line, what was
/// expected and what was found.
class DataError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace diffprob::data
