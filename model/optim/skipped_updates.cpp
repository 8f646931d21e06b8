#include "model/optim/skipped_updates.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace diffprob::model {

void SkippedUpdates::note(std::int64_t step, const at::Tensor& do_update) {
  const at::NoGradGuard no_grad;
  steps_.push_back(step);
  flags_.push_back((do_update.detach().reshape({}) == 0)
                       .to(at::kByte));  // a copy: the caller may use its tensor again
}

SkippedUpdates::Found SkippedUpdates::take() {
  Found found;
  if (!flags_.empty()) {
    const at::Tensor skipped = at::stack(flags_).cpu();
    const auto* flags = skipped.const_data_ptr<std::uint8_t>();
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      run_ = flags[i] != 0 ? run_ + 1 : 0;
      found.longest_run = std::max(found.longest_run, run_);
      if (flags[i] != 0) found.steps.push_back(steps_[i]);
    }
  }
  total_ += static_cast<std::int64_t>(found.steps.size());
  found.total = total_;
  steps_.clear();
  flags_.clear();
  return found;
}

}  // namespace diffprob::model
