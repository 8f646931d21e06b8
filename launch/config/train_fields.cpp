#include "launch/config/rows.h"
#include "launch/config/sections.h"

namespace diffprob::launch {

std::vector<Field> train_fields(TrainConfig& t) {
  return {
      number("train.epochs", &t.epochs, 0, 1e6, "passes over the training set"),
      number("train.batch_size", &t.batch_size, 2, 1e7,
             "GLOBAL batch, split over the ranks: results do not depend on their number"),
      number("train.lr", &t.schedule.base_lr, 0, 100,
             "learning rate for a global batch of train.lr_reference_batch"),
      number("train.lr_reference_batch", &t.schedule.reference_batch, 0, 1e7,
             "lr is scaled by batch_size / this; 0: no scaling"),
      list("train.milestones", &t.schedule.milestones, 0, kMany,
           "epochs (0-based) from which the rate is multiplied by train.lr_gamma"),
      number("train.lr_gamma", &t.schedule.gamma, 0, 1, "factor at each milestone"),
      one_of("train.schedule", &t.schedule.kind, "of the rate",
             words(model::lr_names(), model::lr_kind)),
      number("train.lr_power", &t.schedule.power, 0.1, 10,
             "schedule polynomial: power of the fall"),
      number("train.lr_final", &t.schedule.final_lr, 0, 100,
             "schedules polynomial and cosine: rate at the end, scaled as train.lr"),
      number("train.warmup_epochs", &t.schedule.warmup_epochs, 0, 1e4,
             "linear warm-up; may be a fraction of an epoch"),
      text("train.optimizer", &t.optimizer, "update rule of network and head", {"sgd", "adamw"}),
      number("train.momentum", &t.sgd.momentum, 0, 0.9999, "of SGD"),
      flag("train.nesterov", &t.sgd.nesterov, "Nesterov momentum (SGD)"),
      number("train.adam_beta1", &t.adamw.beta1, 0, 0.99999, "AdamW: decay of the first moment"),
      number("train.adam_beta2", &t.adamw.beta2, 0, 0.9999999, "AdamW: decay of the second moment"),
      number("train.weight_decay", &t.sgd.weight_decay, 0, 1, "head included"),
      flag("train.decay_norm_and_bias", &t.decay_norm_and_bias,
           "weight decay on BatchNorm, PReLU and biases too"),
      number("train.clip_grad_norm", &t.clip_grad_norm, 0, 1e9,
             "largest gradient norm of the backbone; 0: no clipping"),
      number("train.accumulate", &t.accumulate, 1, 1e6,
             "micro-batches that the global batch is cut into, to save memory"),
      text("train.precision", &t.precision,
           "of the backbone's matrix products, weights stay fp32; auto: fp16 on a GPU, fp32 on a "
           "CPU; tf32: fp32 with products in TF32 (a GPU)",
           {"auto", "fp32", "tf32", "bf16", "fp16"}),
      text("train.grad_dtype", &t.grad_dtype, "in which gradients travel",
           {"fp32", "bf16", "fp16"}),
      text("train.cuda_graph", &t.cuda_graph,
           "record a step on a GPU once and replay it: far less work for the host; auto: where the "
           "configuration allows it",
           {"auto", "true", "false"}),
      list("train.untried_kernels", &t.untried_kernels,
           "own kernels that are tested on CPUs and have not run on a GPU yet: sum_statistics (the "
           "batch norm that writes a block's output also sums it up for the next one), faces "
           "(normalised images in the precision of the step; GPU alone), own_classes (the head's "
           "work on own classes on the rows of this rank; GPU alone)",
           {"sum_statistics", "faces", "own_classes"}),
      number("train.ema_decay", &t.ema_decay, 0, 0.999999,
             "moving average of the weights, used for verification and export; 0: off"),
      number("train.max_skipped", &t.max_skipped, 1, 1e9,
             "updates in a row that may be skipped for a non-finite loss or gradient"),
      number("train.max_time", &t.max_time, 0, 1e9,
             "seconds after which training stops with a checkpoint and exit code 75; 0: never"),
      flag("train.deterministic", &t.deterministic,
           "on GPUs: equal runs on equal machines, also those that were stopped and continued, "
           "give equal bits; may be slower; a CPU does so anyway"),
      text("train.init", &t.init,
           "start from the backbone of this checkpoint folder or .pth (fine-tuning; new head)"),
      list("train.allow_changes", &t.allow_changes,
           "keys that may differ from those of the checkpoint that is continued, e.g. "
           "train.lr,model.loss"),
      flag("train.record", &t.record,
           "write dynamics.h5: what the training passes said of each sample, epoch by epoch"),
      flag("train.trace_order", &t.trace_order,
           "write the sample indices of every batch to order.rankNNNNN.jsonl"),
      number("train.profile_steps", &t.profile_steps, 0, 10000,
             "trace this many steps for chrome://tracing or Perfetto (--profile=N)"),
      flag("train.tensorboard", &t.tensorboard, "TensorBoard event files beside metrics.jsonl"),
      number("train.log_every", &t.log_every, 1, kMany,
             "steps between log lines (the loss is read from the device only then)"),
      number("train.checkpoint_every", &t.checkpoint_every, 0, kMany,
             "steps between checkpoints; 0: at the end of each epoch"),
      number("train.keep_checkpoints", &t.keep_checkpoints, 1, 1e6, "newest checkpoints that stay"),
      number("train.keep_every_epochs", &t.keep_every_epochs, 0, 1e6,
             "checkpoints of every Nth epoch stay; 0: none"),
      text("train.best_set", &t.best_set,
           "the checkpoint with the best accuracy on this verification set stays"),
      number("train.eval_every_epochs", &t.eval_every_epochs, 0, 1e6,
             "verification in training; 0: at the end alone"),
  };
}

}  // namespace diffprob::launch
