#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace diffprob::eval {

/// What is being done, and how much of it all ranks have done; called on every rank.
using NeighbourProgress =
    std::function<void(const std::string& what, std::int64_t done, std::int64_t total)>;

/// Least cosines, each above 0 and at most 1.
struct NeighbourOptions {
  double near = 0.95;    ///< of two images of one identity
  double across = 0.95;  ///< of two images of two identities, or of two sets
  /// Of the centres of two identities, from which on their images are compared.
  double centre = 0.7;
  /// An image is a stray when its cosine with the other images of its identity is lower. It is
  /// compared with the images of each identity whose centre has at least this cosine with it: that
  /// finds a copy under a wrong label, which moves no centre. 0: there are no strays.
  double stray = 0.4;
  int threads = 1;
  NeighbourProgress progress;  ///< may be empty
};

}  // namespace diffprob::eval
