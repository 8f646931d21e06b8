#include "launch/config/rows.h"
#include "launch/config/sections.h"

namespace diffprob::launch {
namespace {

/// Length, learning rate and update rule.
std::vector<Field> optimizer_fields(TrainConfig& t) {
  return {
      number("train.epochs", &t.epochs, 0, 1e6, "number of passes over the training set"),
      number("train.batch_size", &t.batch_size, 2, 1e7,
             "GLOBAL batch, split over the ranks; results do not depend on their number"),
      number("train.lr", &t.schedule.base_lr, 0, 100,
             "learning rate for a global batch of train.lr_reference_batch"),
      number("train.lr_reference_batch", &t.schedule.reference_batch, 0, 1e7,
             "lr is scaled by batch_size / this; 0: no scaling"),
      list("train.milestones", &t.schedule.milestones, 0, kMany,
           "epochs (0-based) from which the rate is multiplied by train.lr_gamma"),
      number("train.lr_gamma", &t.schedule.gamma, 0, 1, "factor applied at each milestone"),
      one_of("train.schedule", &t.schedule.kind, "of the rate",
             words(model::lr_names(), model::lr_kind)),
      number("train.lr_power", &t.schedule.power, 0, 10,
             "schedule polynomial: exponent of the decay; 0: no decay"),
      number("train.lr_final", &t.schedule.final_lr, 0, 100,
             "schedules polynomial and cosine: final rate, scaled like train.lr"),
      number("train.warmup_epochs", &t.schedule.warmup_epochs, 0, 1e4,
             "warm-up, in which the rate rises from 0; may be a fraction of an epoch"),
      one_of("train.warmup_shape", &t.schedule.warmup_shape,
             "of w updates of warm-up, number s (from 0) has this share of the rate: updates: (s + "
             "1) / w; epochs: (e + 1) / train.warmup_epochs throughout epoch e (from 0); "
             "arcface_torch: s / w, but the first update the full rate, as arcface_torch does",
             words(model::warmup_names(), model::warmup_shape)),
      number("train.warmup_power", &t.schedule.warmup_power, 0.1, 10,
             "exponent of that share: 1: linear; 2, with warmup_shape epochs: as the paper's code "
             "has it"),
      one_of("train.optimizer", &t.optimizer, "update rule of network and head",
             {{"sgd", model::OptimizerKind::kSgd}, {"adamw", model::OptimizerKind::kAdamW}}),
      number("train.momentum", &t.sgd.momentum, 0, 0.9999, "momentum of SGD"),
      flag("train.nesterov", &t.sgd.nesterov, "Nesterov momentum (SGD)"),
      number("train.adam_beta1", &t.adamw.beta1, 0, 0.99999, "AdamW: decay of the first moment"),
      number("train.adam_beta2", &t.adamw.beta2, 0, 0.9999999, "AdamW: decay of the second moment"),
      number("train.weight_decay", &t.sgd.weight_decay, 0, 1, "weight decay, also for the head"),
      flag("train.decay_norm_and_bias", &t.decay_norm_and_bias,
           "apply weight decay to BatchNorm, PReLU and biases, too"),
      number("train.clip_grad_norm", &t.clip_grad_norm, 0, 1e9,
             "upper bound of the gradient norm of the backbone; 0: no clipping"),
      number("train.accumulate", &t.accumulate, 1, 1e6,
             "number of micro-batches per global batch, to save memory"),
  };
}

/// How a step is computed.
std::vector<Field> step_fields(TrainConfig& t) {
  return {
      one_of("train.precision", &t.precision,
             "precision of the backbone's matrix products; weights stay fp32; auto: fp16 on a GPU, "
             "fp32 on a CPU; tf32: fp32 with products in TF32 (GPU only)",
             precision_words()),
      one_of("train.grad_dtype", &t.reducer.communication_dtype,
             "number format in which gradients are sent", format_words()),
      one_of("train.cuda_graph", &t.cuda_graph,
             "capture a step on the GPU once and replay it, which saves host time; auto: if the "
             "configuration allows it, and neither train.optimizer=adamw nor model.sample_rate "
             "below 1 nor model.head_storage=bf16 is set: these have not been tried yet",
             {{"auto", CudaGraph::kAuto}, {"true", CudaGraph::kOn}, {"false", CudaGraph::kOff}}),
      list_of("train.untried_kernels", &t.untried_kernels,
              "kernels that are tested on CPUs but have not run on a GPU yet: sum_statistics (the "
              "batch norm that writes a block's output, or the gradient of one, also sums it up "
              "for the next), faces (normalised images in the precision of the step; GPU only), "
              "own_classes (the head handles target classes on the local rows; GPU only), weights "
              "(convolution weights channels-last, cast at once, gradients written where they are "
              "reduced; GPU only), folded_norm (weights, and each IResNet block's first batch "
              "norm folded into the convolution after it; GPU only)",
              untried_kernel_words()),
      number("train.ema_decay", &t.ema_decay, 0, 0.999999,
             "moving average of the weights, used for verification and export; 0: off"),
  };
}

/// Start, stop, and what is written on the way.
std::vector<Field> progress_fields(TrainConfig& t) {
  return {
      number("train.max_skipped", &t.max_skipped, 1, 1e9,
             "largest number of consecutive updates that may be skipped because of a non-finite "
             "loss or gradient"),
      number("train.max_time", &t.max_time, 0, 1e9,
             "seconds after which training stops with a checkpoint and exit code 75; 0: never"),
      flag("train.deterministic", &t.deterministic,
           "on GPUs: identical runs on identical machines, including resumed ones, give bitwise "
           "equal results; may be slower; always the case on CPUs"),
      path("train.init", &t.init,
           "start from the backbone of this checkpoint folder or weight file (fine-tuning; new "
           "head)"),
      list("train.allow_changes", &t.allow_changes,
           "keys that may differ from the checkpoint that is resumed, e.g. train.lr,model.loss"),
      one_of("train.record", &t.record,
             "write dynamics.h5, statistics of the predictions for each sample over the training "
             "epochs; history: and its probability in each epoch",
             {{"false", RecordDynamics::kNo},
              {"true", RecordDynamics::kYes},
              {"history", RecordDynamics::kHistory}}),
      one_of("train.prune", &t.epoch_pruning.rule,
             "leave easy samples out of most epochs (diffprob help train): infobatch: those whose "
             "last loss is below the mean; identity: below the mean of their identity",
             {{"false", prune::EpochPruningOptions::Rule::kNone},
              {"infobatch", prune::EpochPruningOptions::Rule::kInfoBatch},
              {"identity", prune::EpochPruningOptions::Rule::kIdentity}}),
      number("train.prune_ratio", &t.epoch_pruning.ratio, 0, 0.99,
             "with train.prune: share of the easy samples that an epoch leaves out; the losses of "
             "the others count 1 / (1 - ratio) times"),
      number("train.prune_until", &t.epoch_pruning.until, 0, 1,
             "with train.prune: share of the epochs after which all samples are trained on"),
      flag("train.trace_order", &t.trace_order,
           "write the sample indices of every batch to order.rankNNNNN.jsonl"),
      number("train.profile_steps", &t.profile_steps, 0, 10000,
             "number of steps to trace for chrome://tracing or Perfetto (--profile=N)"),
      flag("train.tensorboard", &t.tensorboard,
           "write TensorBoard event files in addition to metrics.jsonl"),
      number("train.log_every", &t.log_every, 1, kMany,
             "number of steps between log lines (the loss is read from the device only then)"),
      number("train.checkpoint_every", &t.checkpoint_every, 0, kMany,
             "number of steps between checkpoints; 0: only at the end of each epoch"),
      number("train.keep_checkpoints", &t.keep_checkpoints, 1, 1e6,
             "number of newest checkpoints to keep"),
      number("train.keep_every_epochs", &t.keep_every_epochs, 0, 1e6,
             "also keep the checkpoint of every Nth epoch; 0: none"),
      text("train.best_set", &t.best_set,
           "also keep the checkpoint with the best accuracy on this verification set; mean: with "
           "the best mean over all sets"),
      number("train.eval_every_epochs", &t.eval_every_epochs, 0, 1e6,
             "number of epochs between verifications in training; 0: only at the end"),
      number("train.eval_every_steps", &t.eval_every_steps, 0, kMany,
             "number of steps between further verifications; 0: none"),
  };
}

}  // namespace

const std::vector<Word<UntriedKernel>>& untried_kernel_words() {
  static const std::vector<Word<UntriedKernel>> words = {
      {"sum_statistics", UntriedKernel::kSumStatistics},
      {"faces", UntriedKernel::kFaces},
      {"own_classes", UntriedKernel::kOwnClasses},
      {"weights", UntriedKernel::kWeights},
      {"folded_norm", UntriedKernel::kFoldedNorm}};
  return words;
}

std::vector<Field> train_fields(TrainConfig& t) {
  std::vector<Field> fields = optimizer_fields(t);
  for (const std::vector<Field>& more : {step_fields(t), progress_fields(t)})
    fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

}  // namespace diffprob::launch
