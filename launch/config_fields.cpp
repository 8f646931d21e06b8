#include "launch/config_fields.h"

#include "model/backbone.h"

namespace diffprob::launch {
namespace {

constexpr double kMany = 1e15;

Field text(std::string key, std::string* target, std::string help, std::vector<std::string> choices = {}) {
  return {std::move(key), target, std::move(help), 0, 0, std::move(choices)};
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
  f.push_back(text("data.train", &c.data.train,
                   "training set: folder with train.rec, .rec file, .lst list, folder of one sub-folder a class, or 'synthetic'"));
  f.push_back(text("data.kept", &c.data.kept, "index set (.h5 or kept_index text) to train on; empty: every sample"));
  f.push_back(text("data.on_corrupt", &c.data.on_corrupt, "an image that does not decode: 'fail', or 'replace' by a black one and list it",
                   {"fail", "replace"}));
  f.push_back(flag("data.flip", &c.data.flip, "random horizontal flip in training, p = 0.5"));
  f.push_back(number("data.image_size", &c.data.image_size, 112, 112, "side of the input images, pixels"));
  f.push_back(number("data.decode_threads", &c.data.decode_threads, 0, 256, "decoder threads a rank; 0: in the training thread"));
  f.push_back(number("data.prefetch_batches", &c.data.prefetch_batches, 1, 1024, "batches decoded ahead"));
  auto& s = c.synthetic;
  f.push_back(number("synthetic.identities", &s.identities, 2, 1e6, "identities of the embedded synthetic set"));
  f.push_back(number("synthetic.images_per_identity", &s.images_per_identity, 1, 1e5, "mean images an identity"));
  f.push_back(number("synthetic.near_duplicates", &s.near_duplicates, 0, 0.9, "planted share of near-copies"));
  f.push_back(number("synthetic.flipped_labels", &s.flipped_labels, 0, 0.5, "planted share of wrong labels"));
  f.push_back(number("synthetic.hard_samples", &s.hard_samples, 0, 0.9, "planted share of hard samples"));
  f.push_back(number("synthetic.verification_pairs", &s.verification_pairs, 10, 1e7, "pairs of the verification set made with it"));
  f.push_back(number("synthetic.verification_identities", &s.verification_identities, 2, 1e6, "identities of that set (all unseen)"));
}

void add_model(Config& c, std::vector<Field>& f) {
  f.push_back(text("model.backbone", &c.model.backbone, "network", model::backbone_names()));
  f.push_back(number("model.embedding_dim", &c.model.embedding_dim, 2, 8192, "size D of the embedding"));
  f.push_back(number("model.dropout", &c.model.dropout, 0, 0.95, "before the last fully connected layer (IResNet kinds)"));
  f.push_back(text("model.loss", &c.model.loss, "margin of the head", {"cosface", "none"}));
  f.push_back(number("model.scale", &c.model.scale, 1, 1000, "s: logits are s * cosine"));
  f.push_back(number("model.margin", &c.model.margin, 0, 2, "m of the margin"));
  f.push_back(text("model.checkpoint", &c.model.checkpoint, "checkpoint folder (score, eval, export) or backbone .pth (eval)"));
}

void add_train(Config& c, std::vector<Field>& f) {
  auto& t = c.train;
  f.push_back(number("train.epochs", &t.epochs, 0, 1e6, "passes over the training set"));
  f.push_back(
      number("train.batch_size", &t.batch_size, 2, 1e7, "GLOBAL batch, split over the ranks: results do not depend on their number"));
  f.push_back(number("train.lr", &t.lr, 0, 100, "learning rate for a global batch of train.lr_reference_batch"));
  f.push_back(number("train.lr_reference_batch", &t.lr_reference_batch, 0, 1e7, "lr is scaled by batch_size / this; 0: no scaling"));
  f.push_back({"train.milestones", &t.milestones, "epochs (0-based) from which the rate is multiplied by train.lr_gamma", 0, kMany, {}});
  f.push_back(number("train.lr_gamma", &t.lr_gamma, 0, 1, "factor at each milestone"));
  f.push_back(number("train.warmup_epochs", &t.warmup_epochs, 0, 1e4, "linear warm-up; may be a fraction of an epoch"));
  f.push_back(number("train.momentum", &t.momentum, 0, 0.9999, "of SGD"));
  f.push_back(number("train.weight_decay", &t.weight_decay, 0, 1, "on all parameters, head included"));
  f.push_back(number("train.clip_grad_norm", &t.clip_grad_norm, 0, 1e9, "largest gradient norm of the backbone; 0: no clipping"));
  f.push_back(number("train.log_every", &t.log_every, 1, kMany, "steps between log lines (the loss is read from the device only then)"));
  f.push_back(number("train.checkpoint_every", &t.checkpoint_every, 0, kMany, "steps between checkpoints; 0: at the end of each epoch"));
  f.push_back(number("train.keep_checkpoints", &t.keep_checkpoints, 1, 1e6, "newest checkpoints that stay"));
  f.push_back(number("train.eval_every_epochs", &t.eval_every_epochs, 0, 1e6, "verification in training; 0: at the end alone"));
}

void add_scoring_and_pruning(Config& c, std::vector<Field>& f) {
  f.push_back(number("score.batch_size", &c.score.batch_size, 1, 1e7, "GLOBAL batch of the scoring pass"));
  f.push_back(number("score.margin", &c.score.margin, 0, 2, "margin in the probability: 0 as the paper, model.margin as its code"));
  f.push_back(text("prune.scores", &c.prune.scores, "score table (.h5) that `diffprob prune` reads"));
  f.push_back(text("prune.method", &c.prune.method, "per-identity selection", {"diffprob", "random", "none"}));
  f.push_back(flag("prune.clean", &c.prune.clean, "drop samples whose margin-free prediction is not their label, before selecting"));
  f.push_back(number("prune.keep_ratio", &c.prune.keep_ratio, 0, 1, "share of all samples to keep"));
  f.push_back(number("prune.threshold", &c.prune.threshold, 0, 1e6,
                     "DiffProb's t; when given, prune.keep_ratio is not used; 0: search t for prune.keep_ratio"));
  f.push_back(number("prune.min_kept", &c.prune.min_kept, 1, 1e6, "floor an identity"));
  f.push_back(text("prune.preset", &c.prune.preset, "'default', or 'reference': bit for bit the paper's code", {"default", "reference"}));
}

void add_rest(Config& c, std::vector<Field>& f) {
  f.push_back({"eval.sets", &c.eval.sets, "verification sets (.bin); the synthetic set brings its own", 0, 0, {}});
  f.push_back(number("eval.batch_per_rank", &c.eval.batch_per_rank, 1, 1e6, "images embedded at once on a rank"));
  f.push_back(number("eval.folds", &c.eval.folds, 2, 1000, "folds of the verification protocol"));
  f.push_back(number("run.seeds", &c.run.seeds, 1, 100, "retrainings of each pruned set, with seeds seed, seed + 1, ..."));
  f.push_back(flag("run.compare_random", &c.run.compare_random, "also retrain on a random set of the same size (the bar to beat)"));
  f.push_back(number("dist.startup_timeout", &c.dist.startup_timeout, 1, 1e6, "seconds that the first collective may wait"));
  f.push_back(number("dist.step_timeout", &c.dist.step_timeout, 1, 1e6, "seconds that any later collective may wait"));
  f.push_back(number("dist.bucket_mib", &c.dist.bucket_mib, 0.001, 4096, "gradients are sent in buckets of this size"));
}

}  // namespace

std::vector<Field> config_fields(Config& c) {
  std::vector<Field> fields;
  fields.push_back(text("output", &c.output, "folder of this run: checkpoints, scores, kept lists, summary"));
  fields.push_back(number("seed", &c.seed, 0, 9e15, "of weights, order, augmentation, dropout and random selection"));
  fields.push_back(text("device", &c.device, "auto: the GPU of the node-local rank, else the CPU", {"auto", "cpu", "cuda"}));
  fields.push_back(number("threads", &c.threads, 0, 4096, "CPU threads a rank for tensor work; 0: cores of the node / ranks on it"));
  add_data(c, fields);
  add_model(c, fields);
  add_train(c, fields);
  add_scoring_and_pruning(c, fields);
  add_rest(c, fields);
  return fields;
}

}  // namespace diffprob::launch
