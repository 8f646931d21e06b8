#include "launch/config/fields.h"

#include <algorithm>

#include "model/margin/options.h"
#include "model/networks/backbone.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

constexpr double kMany = 1e15;

Field text(std::string key, std::string* target, std::string help,
           std::vector<std::string> choices = {}) {
  return {std::move(key), target, std::move(help), 0, 0, std::move(choices)};
}
/// A word of the configuration and the value that it stands for.
template <class E>
struct Word {
  std::string word;
  E value;
};
template <class E>
Field one_of(std::string key, E* target, std::string help, std::vector<Word<E>> words) {
  std::vector<std::string> choices;
  for (const auto& [word, value] : words) choices.push_back(word);
  EnumTarget named;
  named.word = [target, words] {
    const auto found = std::find_if(words.begin(), words.end(),
                                    [&](const Word<E>& w) { return w.value == *target; });
    return found == words.end() ? std::string() : found->word;
  };
  named.set = [target, words = std::move(words)](const std::string& text) {
    for (const auto& [word, value] : words) {
      if (word == text) *target = value;
    }
  };
  return {std::move(key), std::move(named), std::move(help), 0, 0, std::move(choices)};
}

Field number(std::string key, int* target, double low, double high, std::string help) {
  return {std::move(key), target, std::move(help), low, high, {}};
}
Field number(std::string key, std::int64_t* target, double low, double high, std::string help) {
  return {std::move(key), target, std::move(help), low, high, {}};
}
Field number(std::string key, double* target, double low, double high, std::string help) {
  return {std::move(key), target, std::move(help), low, high, {}};
}
Field flag(std::string key, bool* target, std::string help) {
  return {std::move(key), target, std::move(help), 0, 0, {}};
}

void add_data(Config& c, std::vector<Field>& f) {
  f.push_back({"data.train",
               &c.data.train,
               "training sets: folder with train.rec, .rec file, .lst list, folder of one "
               "sub-folder a class, or, for run and sweep, "
               "'synthetic'; several are "
               "joined, each with identities of its own",
               0,
               0,
               {}});
  f.push_back(text("data.kept", &c.data.kept,
                   "index set (.h5), or a list of a form that `diffprob help convert` names, to "
                   "train on; empty: every sample"));
  f.push_back(text("data.stage_dir", &c.data.stage_dir,
                   "folder on each node (local disk, tmpfs) into which its ranks first copy the "
                   "training sets, verified; a copy that is there "
                   "is used again; empty: read data.train where it is"));
  f.push_back(
      one_of("data.on_corrupt", &c.data.loader.on_corrupt,
             "an image that does not decode: 'fail', or 'replace' by a black one and list it",
             {{"fail", data::OnCorrupt::kFail}, {"replace", data::OnCorrupt::kReplace}}));
  f.push_back(flag("data.flip", &c.data.flip, "random horizontal flip in training, p = 0.5"));
  f.push_back(number("data.image_size", &c.data.loader.image_size, 112, 112,
                     "side of the input images, pixels"));
  f.push_back(number("data.decode_threads", &c.data.loader.decode_threads, 0, 256,
                     "decoder threads a rank; 0: in the training thread"));
  f.push_back(number("data.prefetch_batches", &c.data.loader.prefetch_batches, 1, 1024,
                     "batches decoded ahead"));
  f.push_back(number("data.cache_gib", &c.data.cache_gib, 0, 1e6,
                     "decoded images stay in memory when all fit into this, a rank; 0: never"));
  f.push_back(number("data.resident_gib", &c.data.resident_gib, 0, 1e6,
                     "decoded images stay in the memory of the device (of the GPU) when all fit "
                     "into this, a rank; 0: never"));
  f.push_back(text("data.sampling", &c.data.sampling,
                   "'uniform': every sample once an epoch; 'balanced': every identity as often; "
                   "'weighted': by n^-sampling_power of an "
                   "identity of n samples",
                   {"uniform", "balanced", "weighted"}));
  f.push_back(number("data.sampling_power", &c.data.sampling_power, 0, 4,
                     "0: as uniform, with repeats; 1: near balanced"));
  auto& a = c.augment;
  f.push_back(text("augment.preset", &a.preset,
                   "random changes of training images besides data.flip; the next keys replace its "
                   "probabilities",
                   {"none", "adaface", "arcface_torch"}));
  f.push_back(number("augment.crop", &a.crop, -1, 1, "probability; -1: as the preset"));
  f.push_back(
      number("augment.low_resolution", &a.low_resolution, -1, 1, "probability; -1: as the preset"));
  f.push_back(number("augment.blur", &a.blur, -1, 1, "probability; -1: as the preset"));
  f.push_back(
      number("augment.photometric", &a.photometric, -1, 1, "probability; -1: as the preset"));
  f.push_back(number("augment.grayscale", &a.grayscale, -1, 1, "probability; -1: as the preset"));
  auto& s = c.synthetic;
  f.push_back(number("synthetic.identities", &s.identities, 2, 1e6,
                     "identities of the embedded synthetic set"));
  f.push_back(number("synthetic.images_per_identity", &s.images_per_identity, 1, 1e5,
                     "mean images an identity"));
  f.push_back(number("synthetic.near_duplicates", &s.near_duplicates, 0, 0.9,
                     "planted share of near-copies"));
  f.push_back(number("synthetic.flipped_labels", &s.flipped_labels, 0, 0.5,
                     "planted share of wrong labels"));
  f.push_back(
      number("synthetic.hard_samples", &s.hard_samples, 0, 0.9, "planted share of hard samples"));
  f.push_back(number("synthetic.verification_pairs", &s.verification_pairs, 10, 1e7,
                     "pairs of the verification set made with it"));
  f.push_back(number("synthetic.verification_identities", &s.verification_identities, 2, 1e6,
                     "identities of that set (all unseen)"));
}

std::vector<Word<model::MarginKind>> losses() {
  std::vector<Word<model::MarginKind>> words;
  for (const std::string& name : model::margin_names())
    words.push_back({name, model::margin_kind(name)});
  return words;
}

void add_head(Config& c, std::vector<Field>& f) {
  auto& m = c.model;
  f.push_back(one_of("model.loss", &m.loss.kind, "margin of the head", losses()));
  f.push_back(one_of("model.loss_preset", &m.loss.reference,
                     "'default': as published; 'reference': as the paper's code has it",
                     {{"default", false}, {"reference", true}}));
  f.push_back(number("model.scale", &m.loss.scale, 1, 1000, "s: logits are s * cosine"));
  f.push_back(number("model.margin", &m.loss.margin, -1, 2,
                     "m of the margin; -1: the published value of the loss"));
  f.push_back(number("model.m1", &m.loss.m1, 0, 10, "loss combined: cos(m1 theta + m2) - m3"));
  f.push_back(number("model.m2", &m.loss.m2, 0, 2, "loss combined"));
  f.push_back(number("model.m3", &m.loss.m3, 0, 2, "loss combined"));
  f.push_back(number("model.elastic_std", &m.loss.elastic_std, -1, 1,
                     "elastic losses: deviation of the drawn margins; -1: the published value"));
  f.push_back(number("model.curricular_momentum", &m.loss.curricular_momentum, 0, 1,
                     "CurricularFace: weight of the new batch in t"));
  f.push_back(number("model.adaface_h", &m.loss.adaface_h, 0.001, 10,
                     "AdaFace: concentration of the norm statistic"));
  f.push_back(number("model.adaface_t_alpha", &m.loss.adaface_t_alpha, 0, 1,
                     "AdaFace: weight of the new batch in the norm statistic"));
  f.push_back(
      number("model.filter_threshold", &m.loss.filter_threshold, 0, 1,
             "inter-class filtering: other classes with a larger cosine get logit 0; 0: off"));
  f.push_back(number("model.sample_rate", &m.sample_rate, 0.0001, 1,
                     "share of the classes that a step sees (Partial FC); 1: all"));
  f.push_back(
      number("model.head_buffer_mib", &m.head_buffer_mib, 1, 1e6,
             "logits held at once on a rank; beyond it the head goes by chunks of classes"));
  f.push_back(text("model.head_storage", &m.head_storage,
                   "how class centres and their momenta are stored", {"fp32", "bf16"}));
}

void add_model(Config& c, std::vector<Field>& f) {
  f.push_back(text("model.backbone", &c.model.backbone, "network", model::backbone_names()));
  f.push_back(
      number("model.embedding_dim", &c.model.embedding_dim, 2, 8192, "size D of the embedding"));
  f.push_back(number("model.dropout", &c.model.dropout, 0, 0.95,
                     "before the last fully connected layer (IResNet kinds)"));
  f.push_back(flag("model.recompute", &c.model.recompute,
                   "activation checkpointing: less memory, about a third more time"));
  f.push_back(flag("model.sync_batch_norm", &c.model.sync_batch_norm,
                   "batch statistics over all ranks: W ranks train as one"));
  f.push_back(
      flag("model.fused_batch_norm", &c.model.fused_batch_norm,
           "own kernels for batch norm with PReLU and residual sum; false: LibTorch's operators"));
  add_head(c, f);
  f.push_back(text("model.checkpoint", &c.model.checkpoint,
                   "checkpoint folder (score, eval, export) or backbone .pth (eval, export)"));
}

std::vector<Word<model::LrKind>> schedules() {
  std::vector<Word<model::LrKind>> words;
  for (const std::string& name : model::lr_names()) words.push_back({name, model::lr_kind(name)});
  return words;
}

void add_train(Config& c, std::vector<Field>& f) {
  auto& t = c.train;
  f.push_back(number("train.epochs", &t.epochs, 0, 1e6, "passes over the training set"));
  f.push_back(number("train.batch_size", &t.batch_size, 2, 1e7,
                     "GLOBAL batch, split over the ranks: results do not depend on their number"));
  f.push_back(number("train.lr", &t.schedule.base_lr, 0, 100,
                     "learning rate for a global batch of train.lr_reference_batch"));
  f.push_back(number("train.lr_reference_batch", &t.schedule.reference_batch, 0, 1e7,
                     "lr is scaled by batch_size / this; 0: no scaling"));
  f.push_back({"train.milestones",
               &t.schedule.milestones,
               "epochs (0-based) from which the rate is multiplied by train.lr_gamma",
               0,
               kMany,
               {}});
  f.push_back(number("train.lr_gamma", &t.schedule.gamma, 0, 1, "factor at each milestone"));
  f.push_back(one_of("train.schedule", &t.schedule.kind, "of the rate", schedules()));
  f.push_back(number("train.lr_power", &t.schedule.power, 0.1, 10,
                     "schedule polynomial: power of the fall"));
  f.push_back(number("train.lr_final", &t.schedule.final_lr, 0, 100,
                     "schedules polynomial and cosine: rate at the end, scaled as train.lr"));
  f.push_back(number("train.warmup_epochs", &t.schedule.warmup_epochs, 0, 1e4,
                     "linear warm-up; may be a fraction of an epoch"));
  f.push_back(
      text("train.optimizer", &t.optimizer, "update rule of network and head", {"sgd", "adamw"}));
  f.push_back(number("train.momentum", &t.sgd.momentum, 0, 0.9999, "of SGD"));
  f.push_back(flag("train.nesterov", &t.sgd.nesterov, "Nesterov momentum (SGD)"));
  f.push_back(
      number("train.adam_beta1", &t.adamw.beta1, 0, 0.99999, "AdamW: decay of the first moment"));
  f.push_back(number("train.adam_beta2", &t.adamw.beta2, 0, 0.9999999,
                     "AdamW: decay of the second moment"));
  f.push_back(number("train.weight_decay", &t.sgd.weight_decay, 0, 1, "head included"));
  f.push_back(flag("train.decay_norm_and_bias", &t.decay_norm_and_bias,
                   "weight decay on BatchNorm, PReLU and biases too"));
  f.push_back(number("train.clip_grad_norm", &t.clip_grad_norm, 0, 1e9,
                     "largest gradient norm of the backbone; 0: no clipping"));
  f.push_back(number("train.accumulate", &t.accumulate, 1, 1e6,
                     "micro-batches that the global batch is cut into, to save memory"));
  f.push_back(text("train.precision", &t.precision,
                   "of the backbone's matrix products, weights stay fp32; auto: fp16 on a GPU, "
                   "fp32 on a CPU; tf32: fp32 with products in TF32 (a GPU)",
                   {"auto", "fp32", "tf32", "bf16", "fp16"}));
  f.push_back(text("train.grad_dtype", &t.grad_dtype, "in which gradients travel",
                   {"fp32", "bf16", "fp16"}));
  f.push_back(text("train.cuda_graph", &t.cuda_graph,
                   "record a step on a GPU once and replay it: far less work for the host; auto: "
                   "where the configuration allows it",
                   {"auto", "true", "false"}));
  f.push_back({"train.untried_kernels",
               &t.untried_kernels,
               "own kernels that are tested on CPUs and have not run on a GPU yet: sum_statistics "
               "(the batch norm that writes a block's output "
               "also sums it up for the next one), faces (normalised images in the precision of "
               "the step; GPU alone), own_classes (the head's work "
               "on own classes on the rows of this "
               "rank; GPU alone)",
               0,
               0,
               {"sum_statistics", "faces", "own_classes"}});
  f.push_back(number("train.ema_decay", &t.ema_decay, 0, 0.999999,
                     "moving average of the weights, used for verification and export; 0: off"));
  f.push_back(number("train.max_skipped", &t.max_skipped, 1, 1e9,
                     "updates in a row that may be skipped for a non-finite loss or gradient"));
  f.push_back(
      number("train.max_time", &t.max_time, 0, 1e9,
             "seconds after which training stops with a checkpoint and exit code 75; 0: never"));
  f.push_back(flag("train.deterministic", &t.deterministic,
                   "on GPUs: equal runs on equal machines, also those that were stopped and "
                   "continued, give equal bits; may be slower; a CPU does so "
                   "anyway"));
  f.push_back(
      text("train.init", &t.init,
           "start from the backbone of this checkpoint folder or .pth (fine-tuning; new head)"));
  f.push_back({"train.allow_changes",
               &t.allow_changes,
               "keys that may differ from those of the checkpoint that is continued, e.g. "
               "train.lr,model.loss",
               0,
               0,
               {}});
  f.push_back(
      flag("train.record", &t.record,
           "write dynamics.h5: what the training passes said of each sample, epoch by epoch"));
  f.push_back(flag("train.trace_order", &t.trace_order,
                   "write the sample indices of every batch to order.rankNNNNN.jsonl"));
  f.push_back(number("train.profile_steps", &t.profile_steps, 0, 10000,
                     "trace this many steps for chrome://tracing or Perfetto (--profile=N)"));
  f.push_back(
      flag("train.tensorboard", &t.tensorboard, "TensorBoard event files beside metrics.jsonl"));
  f.push_back(number("train.log_every", &t.log_every, 1, kMany,
                     "steps between log lines (the loss is read from the device only then)"));
  f.push_back(number("train.checkpoint_every", &t.checkpoint_every, 0, kMany,
                     "steps between checkpoints; 0: at the end of each epoch"));
  f.push_back(number("train.keep_checkpoints", &t.keep_checkpoints, 1, 1e6,
                     "newest checkpoints that stay"));
  f.push_back(number("train.keep_every_epochs", &t.keep_every_epochs, 0, 1e6,
                     "checkpoints of every Nth epoch stay; 0: none"));
  f.push_back(text("train.best_set", &t.best_set,
                   "the checkpoint with the best accuracy on this verification set stays"));
  f.push_back(number("train.eval_every_epochs", &t.eval_every_epochs, 0, 1e6,
                     "verification in training; 0: at the end alone"));
}

std::vector<Word<prune::Method>> methods() {
  std::vector<Word<prune::Method>> words;
  for (const std::string& name : prune::method_names())
    words.push_back({name, prune::method_of(name)});
  return words;
}

void add_pruning(PruneConfig& p, std::vector<Field>& f) {
  f.push_back(text("prune.scores", &p.scores, "score table (.h5) that `diffprob prune` reads"));
  f.push_back(text("prune.dynamics", &p.dynamics,
                   "training dynamics (.h5): for dynunc, forgetting, aum, ccs, and "
                   "prune.score=last_epoch or mean; with train.record, run takes "
                   "those of its own training"));
  f.push_back(one_of("prune.method", &p.options.method,
                     "per-identity selection (diffprob help prune)", methods()));
  f.push_back(one_of(
      "prune.score", &p.options.score,
      "diffprob: of the score table, of the last training epoch, or the mean over the epochs",
      {{"scores", prune::ScoreKind::kScores},
       {"last_epoch", prune::ScoreKind::kLastEpoch},
       {"mean", prune::ScoreKind::kMean}}));
  f.push_back(flag("prune.clean", &p.options.clean,
                   "drop samples that look mislabelled, before selecting"));
  f.push_back(
      one_of("prune.clean_rule", &p.options.cleaning.rule,
             "'mispredicted': the margin-free prediction is not the label; 'confident': and "
             "it reaches the mean confidence of that class",
             {{"mispredicted", prune::CleanRule::kMispredicted},
              {"confident", prune::CleanRule::kConfident}}));
  f.push_back(number("prune.clean_margin", &p.options.cleaning.margin, 0, 1000,
                     "clean only when the prediction's log-probability (natural) exceeds the "
                     "label's by more than this; 0: any"));
  f.push_back(number("prune.keep_ratio", &p.keep_ratio, 0, 1, "share of all samples to keep"));
  f.push_back(number(
      "prune.threshold", &p.threshold, 0, 1e6,
      "DiffProb's t; when given, prune.keep_ratio is not used; 0: search t for prune.keep_ratio"));
  f.push_back(number("prune.min_kept", &p.floor.min_kept, 1, 1e6, "floor an identity, samples"));
  f.push_back(number("prune.min_kept_share", &p.floor.share, 0, 1,
                     "floor an identity, share of its usable samples; the larger floor counts"));
  f.push_back(
      one_of("prune.preset", &p.preset, "'default', or 'reference': bit for bit the paper's code",
             {{"default", prune::Preset::kDefault}, {"reference", prune::Preset::kReference}}));
  f.push_back(one_of("prune.keep_end", &p.options.ranked.keep,
                     "dynunc, el2n, forgetting, aum: which values are kept",
                     {{"highest", prune::RankedOptions::Keep::kHighest},
                      {"lowest", prune::RankedOptions::Keep::kLowest}}));
  f.push_back(one_of(
      "prune.draw", &p.options.random.draw,
      "method random: by seed, or the last ones of each identity (prune.preset=reference: tail)",
      {{"random", prune::RandomOptions::Draw::kRandom},
       {"tail", prune::RandomOptions::Draw::kTail}}));
  f.push_back(
      one_of("prune.ccs_score", &p.options.ccs.score, "ccs: what says how hard a sample is",
             {{"aum", prune::CcsOptions::Score::kAum}, {"el2n", prune::CcsOptions::Score::kEl2n}}));
  f.push_back(number("prune.ccs_beta", &p.options.ccs.beta, 0, 0.99,
                     "ccs: share of the usable samples, the hardest, that is dropped first"));
  f.push_back(number("prune.ccs_strata", &p.options.ccs.strata, 1, 10000,
                     "ccs: equal parts of the range of scores"));
}

void add_scoring_and_pruning(Config& c, std::vector<Field>& f) {
  f.push_back(number("score.batch_per_rank", &c.score.batch_per_rank, 1, 1e6,
                     "images of each rank at a time, on a CPU in blocks of 16, at least one per "
                     "thread; scores do not depend on it"));
  f.push_back(flag("score.fold", &c.score.fold,
                   "BatchNorm folded into convolutions: the same scores within rounding, faster"));
  f.push_back(
      text("score.precision", &c.score.precision,
           "of the network in the scoring pass, its last layer and the head stay fp32 (products in "
           "TF32 on a GPU, unless "
           "train.precision=fp32); 16 bit has not been measured on a GPU yet, fp16 is slow on CPUs",
           {"fp32", "bf16", "fp16"}));
  f.push_back(number("score.margin", &c.score.margin, 0, 2,
                     "margin in the probability: 0 as the paper, model.margin as its code"));
  f.push_back(number("score.part_samples", &c.score.part_samples, 0, kMany,
                     "samples after which a part is written that a killed run need not score "
                     "again; 0: about a minute's work, at most 262144"));
  add_pruning(c.prune, f);
}

void add_sweep(Config& c, std::vector<Field>& f) {
  f.push_back({"sweep.methods", &c.sweep.methods,
               "what `diffprob sweep` compares; random is always among them", 0, 0,
               prune::full_names_with_ratio()});
  f.push_back({"sweep.ratios",
               &c.sweep.ratios,
               "shares of all samples that each method keeps",
               1e-6,
               1,
               {}});
  f.push_back(number("sweep.cell", &c.sweep.cell, -1, 1e6,
                     "-1: the whole sweep; 0: its original trainings and scores alone; N: one "
                     "method at one ratio alone (--dry-run lists)"));
}

void add_rest(Config& c, std::vector<Field>& f) {
  f.push_back({"eval.sets",
               &c.eval.sets,
               "verification sets (.bin); the synthetic set brings its own. While training their "
               "decoded images stay in memory, 37 KiB "
               "each, shared out over the ranks",
               0,
               0,
               {}});
  f.push_back(
      {"eval.ijb",
       &c.eval.ijb,
       "`diffprob eval`: folders IJBB or IJBC of InsightFace's IJB_release (meta/, loose_crop/)",
       0,
       0,
       {}});
  f.push_back(
      {"eval.ijb_variants",
       &c.eval.ijb_variants,
       "pooling, as the reference's switches: F1 adds the mirror image, N1 keeps a feature's "
       "length, N0 L2-normalises it first, D1 "
       "multiplies by the detector's score; empty: F1N1D1 (F0N1D1 for features of images alone)",
       0,
       0,
       {}});
  f.push_back(text("eval.features", &c.eval.features,
                   "`diffprob eval`: features made elsewhere in place of a network, .npy or HDF5, "
                   "one row an image of the one set or IJB folder"));
  f.push_back(text("eval.features_dataset", &c.eval.features_dataset,
                   "the dataset of an HDF5 file of features"));
  f.push_back(text("eval.features_hold", &c.eval.features_hold,
                   "a row is the feature of the image, or that of the image followed by that of "
                   "its mirror image",
                   {"image", "image_mirror"}));
  f.push_back(text("eval.json", &c.eval.json,
                   "`diffprob eval` also writes all results to this file (--json=FILE)"));
  f.push_back(number("eval.batch_per_rank", &c.eval.batch_per_rank, 1, 1e6,
                     "images of each rank at a time, on a CPU in blocks of 16, at least one per "
                     "thread; results do not depend on it"));
  f.push_back(text("eval.precision", &c.eval.precision,
                   "of the network in verification, as score.precision", {"fp32", "bf16", "fp16"}));
  f.push_back(number("eval.folds", &c.eval.folds, 2, 1000, "folds of the verification protocol"));
  f.push_back(number("run.seeds", &c.run.seeds, 1, 100,
                     "retrainings of each pruned set (sweep: also of the whole set), with seeds "
                     "seed, seed + 1, ..."));
  f.push_back(flag("run.compare_random", &c.run.compare_random,
                   "also retrain on a random set of the same size (the bar to beat)"));
  add_sweep(c, f);
  f.push_back(number("dist.startup_timeout", &c.dist.startup_timeout, 1, 1e6,
                     "seconds that the first collective, and the others for the synthetic faces of "
                     "rank 0, may wait"));
  f.push_back(number("dist.step_timeout", &c.dist.step_timeout, 1, 1e6,
                     "seconds that any later collective may wait"));
  f.push_back(number("dist.bucket_mib", &c.dist.bucket_mib, 0.001, 4096,
                     "gradients are sent in buckets of this size"));
  f.push_back(text("dist.bind", &c.dist.bind,
                   "CPUs of a rank that uses a GPU; auto: of those that it was started on, the "
                   "ones on the NUMA node of its GPU; none: all "
                   "that it was started on",
                   {"auto", "none"}));
}

}  // namespace

std::vector<Field> config_fields(Config& c) {
  std::vector<Field> fields;
  fields.push_back(
      text("output", &c.output, "folder of this run: checkpoints, scores, kept lists, summary"));
  fields.push_back(number("seed", &c.seed, 0, 9e15,
                          "of weights, order, augmentation, dropout and random selection"));
  fields.push_back(text("device", &c.device, "auto: the GPU of the node-local rank, else the CPU",
                        {"auto", "cpu", "cuda"}));
  fields.push_back(number("threads", &c.threads, 0, 4096,
                          "CPU threads a rank for tensor work; 0: CPUs that the rank may run on / "
                          "ranks that share them"));
  add_data(c, fields);
  add_model(c, fields);
  add_train(c, fields);
  add_scoring_and_pruning(c, fields);
  add_rest(c, fields);
  return fields;
}

}  // namespace diffprob::launch
