#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/loading/batch_stream.h"
#include "data/loading/decoded_cache.h"
#include "data/loading/loader_options.h"
#include "data/loading/sampler.h"
#include "data/sets/dataset.h"

namespace diffprob::data {

/// Decodes the batches of a plan in order, ahead of the consumer. b may be 0 (empty tensors of the
/// right shape). Content does not depend on the number of threads. next() rethrows what a worker
/// threw.
class Loader final : public BatchStream {
 public:
  /// first_batch: where to start (resume in mid-epoch).
  Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const BatchPlan> plan,
         LoaderOptions options, std::int64_t first_batch = 0);
  ~Loader() override;

  [[nodiscard]] std::vector<std::string> replaced() const override;

 private:
  bool do_next(Batch& batch) override;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffprob::data
