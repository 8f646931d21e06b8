#include "launch/config/fields.h"

#include "launch/config/rows.h"
#include "launch/config/sections.h"

namespace diffprob::launch {

std::vector<Field> eval_fields(EvalConfig& e) {
  return {
      path("eval.sets", &e.sets,
           "verification sets: .bin files, or names (lfw) of those in the folder of data.train or "
           "the one above; the synthetic set has one of its own. In training, their "
           "decoded images stay in memory, 37 KiB each, distributed over the ranks"),
      path("eval.ijb", &e.ijb,
           "`diffprob eval` and `run`: folders IJBB or IJBC of InsightFace's IJB_release (meta/, "
           "loose_crop/)"),
      list("eval.ijb_variants", &e.ijb_variants,
           "pooling variants, named after the reference's switches: F1 adds the mirror image, N1 "
           "keeps a feature's length, N0 L2-normalises it first, D1 multiplies by the detector's "
           "score; empty: F1N1D1 (F0N1D1 for features of images only)"),
      path("eval.features", &e.features,
           "`diffprob eval`: external features instead of a network, .npy or HDF5, one row per "
           "image of the only set or IJB folder"),
      text("eval.features_dataset", &e.features_dataset,
           "name of the dataset in an HDF5 file of features"),
      one_of("eval.features_hold", &e.features_hold,
             "a row holds the feature of the image, or that feature followed by the one of its "
             "mirror image",
             {{"image", FeaturesHold::kImage}, {"image_mirror", FeaturesHold::kImageAndMirror}}),
      path("eval.json", &e.json,
           "`diffprob eval` also writes all results to this file (--json=FILE)"),
      path(
          "eval.scores", &e.scores,
          "`diffprob eval` also writes the score of every pair (--scores=FILE): .csv, .npy or .h5; "
          "for several sets one file each, with the set's name before the suffix"),
      path("eval.roc", &e.roc,
           "`diffprob eval` also writes the ROC curve to this .csv (--roc=FILE), named as "
           "eval.scores "
           "is"),
      number("eval.batch_per_rank", &e.embedder.batch_per_rank, 1, 1e6,
             "images per rank at a time; on a CPU in blocks of 16, at least one per thread; "
             "results do not depend on it"),
      one_of("eval.precision", &e.embedder.network.type,
             "precision of the network in verification; see score.precision", format_words()),
      number("eval.folds", &e.embedder.folds, 2, 1000,
             "number of folds of the verification protocol"),
  };
}

std::vector<Field> run_fields(RunConfig& r) {
  return {
      number("run.seeds", &r.seeds, 1, 100,
             "number of trainings per pruned set (sweep: also of the whole set), with seeds seed, "
             "seed + 1, ..."),
      flag("run.compare_random", &r.compare_random,
           "also retrain on a random subset of the same size (the baseline to beat)"),
  };
}

std::vector<Field> dist_fields(DistConfig& d) {
  return {
      number("dist.startup_timeout", &d.startup_timeout, 1, 1e6,
             "deadline in seconds of the first collective, and of the wait for rank 0 to make the "
             "synthetic faces"),
      number("dist.step_timeout", &d.step_timeout, 1, 1e6,
             "deadline in seconds of every later collective"),
      number("dist.bucket_mib", &d.bucket_mib, 0.001, 4096,
             "size of the buckets in which gradients are sent"),
      one_of(
          "dist.bind", &d.bind,
          "CPUs for a rank that uses a GPU; auto: those of its initial CPUs that are on the NUMA "
          "node of its GPU; none: all initial CPUs",
          {{"auto", BindCpus::kAuto}, {"none", BindCpus::kNone}}),
  };
}

std::vector<Field> config_fields(Config& c) {
  std::vector<Field> fields = {
      path("output", &c.output,
           "output folder of this run: checkpoints, scores, kept lists, summary"),
      number("seed", &c.seed, 0, 9e15,
             "seed of weights, order, augmentation, dropout and random selection"),
      one_of("device", &c.device, "auto: the GPU of the node-local rank, else the CPU",
             {{"auto", dist::DeviceRequest::kAuto},
              {"cpu", dist::DeviceRequest::kCpu},
              {"cuda", dist::DeviceRequest::kCuda}}),
      number("threads", &c.threads, 0, 4096,
             "CPU threads per rank for tensor work; 0: available CPUs / ranks that share them"),
  };
  for (const std::vector<Field>& section :
       {data_fields(c.data), augment_fields(c.augment), synthetic_fields(c.synthetic),
        model_fields(c.model), train_fields(c.train), score_fields(c.score), embed_fields(c.embed),
        neighbours_fields(c.neighbours), prune_fields(c.prune), eval_fields(c.eval),
        run_fields(c.run), sweep_fields(c.sweep), dist_fields(c.dist)})
    fields.insert(fields.end(), section.begin(), section.end());
  return fields;
}

}  // namespace diffprob::launch
