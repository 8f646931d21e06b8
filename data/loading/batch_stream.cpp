#include "data/loading/batch_stream.h"

#include <chrono>

namespace diffprob::data {

bool BatchStream::next(Batch& batch) {
  const auto start = std::chrono::steady_clock::now();
  const bool found = do_next(batch);
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return found;
}

}  // namespace diffprob::data
