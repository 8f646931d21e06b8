#include "launch/checkpoint/evaluation_weights.h"

#include "launch/checkpoint/checkpoint.h"

namespace diffprob::launch {

void load_for_evaluation(const std::string& checkpoint, model::Backbone& backbone) {
  CheckpointState state;
  if (checkpoint_has(checkpoint, "ema"))
    state.replicated.push_back({"ema", model::state_dict(backbone)});
  else
    state.backbone = model::state_dict(backbone);
  load_checkpoint(checkpoint, state);
}

}  // namespace diffprob::launch
