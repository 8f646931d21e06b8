#include "launch/config/rows.h"
#include "launch/config/sections.h"

namespace diffprob::launch {

std::vector<Field> data_fields(DataConfig& d) {
  return {
      path("data.train", &d.train,
           "training sets: a folder with train.rec, a .rec file, a list (.lst, .list or .txt), a "
           "folder with one sub-folder per class or, for run and sweep, 'synthetic'; several sets "
           "are concatenated "
           "and share no identities"),
      path("data.root", &d.root,
           "folder in which the images of lists in data.train are looked up; empty: the folder of "
           "each list"),
      path("data.kept", &d.kept,
           "index set (.h5) of the samples to train on, or a list of a kind named by `diffprob "
           "help convert`; empty: all samples"),
      one_of("data.labels", &d.labels,
             "'as_is': the labels of the data set; 'dense': renumbered 0, 1, 2, ... over the "
             "identities that have images, for labels with gaps",
             {{"as_is", Labels::kAsIs}, {"dense", Labels::kDense}}),
      path("data.stage_dir", &d.stage_dir,
           "folder on each node (local disk, tmpfs) into which its ranks first copy the training "
           "sets, with verification; an existing copy is reused; empty: read data.train in place"),
      number("data.expected_images", &d.expected_images, 0, kMany,
             "images that the training set should have: another number is a warning, and --dry-run "
             "counts with it while the set is not there; 0: not known"),
      number("data.expected_identities", &d.expected_identities, 0, kMany,
             "identities that the training set should have, likewise"),
      one_of("data.on_corrupt", &d.loader.on_corrupt,
             "what to do with an image that cannot be decoded: 'fail', or 'replace' it by a black "
             "image and log it",
             {{"fail", data::OnCorrupt::kFail}, {"replace", data::OnCorrupt::kReplace}}),
      flag("data.flip", &d.loader.flip, "random horizontal flip in training (p = 0.5)"),
      number("data.image_size", &d.loader.image_size, 112, 112,
             "side of the input images in pixels"),
      number("data.decode_threads", &d.loader.decode_threads, 0, 256,
             "decoder threads per rank; 0: decode in the training thread"),
      number("data.prefetch_batches", &d.loader.prefetch_batches, 1, 1024,
             "number of batches decoded in advance"),
      number("data.cache_gib", &d.cache_gib, 0, 1e6,
             "memory per rank for decoded images, which are kept if they all fit; 0: never"),
      number("data.resident_gib", &d.resident_gib, 0, 1e6,
             "device (GPU) memory per rank for decoded images, which are kept there if they all "
             "fit; 0: never"),
      one_of("data.sampling", &d.sampling.kind,
             "'uniform': every sample once per epoch; 'balanced': every identity equally often; "
             "'weighted': a sample of an identity with n samples has weight n^-sampling_power",
             {{"uniform", data::Sampling::kUniform},
              {"balanced", data::Sampling::kBalanced},
              {"weighted", data::Sampling::kWeighted}}),
      number("data.sampling_power", &d.sampling.power, 0, 4,
             "0: as uniform, but with repetitions; 1: close to balanced"),
  };
}

std::vector<Field> neighbours_fields(NeighboursConfig& n) {
  return {
      path("neighbours.embeddings", &n.embeddings,
           "embeddings of data.train (`diffprob embed`, or a .npy with one row per sample): `data "
           "dedup` and `data leaks` then find pairs by them as well as by pixels"),
      path("neighbours.other", &n.other,
           "`data overlap`: the data set that data.train is compared with"),
      path("neighbours.other_embeddings", &n.other_embeddings,
           "embeddings by the same network of what data.train is compared with: `data leaks` takes "
           "one file for each of eval.sets and then of eval.ijb, `data overlap` that of "
           "neighbours.other"),
      number("neighbours.near", &n.options.near, 0.01, 1,
             "least cosine of near-duplicates inside an identity"),
      number("neighbours.across", &n.options.across, 0.01, 1,
             "least cosine of near-duplicates of two identities, or of two sets"),
      number("neighbours.centre", &n.options.centre, 0.01, 1,
             "identities whose centres have at least this cosine have their images compared"),
      number("neighbours.stray", &n.options.stray, 0, 1,
             "an image whose cosine with the rest of its identity is lower is compared with the "
             "images of every identity whose centre has at least this cosine with it; 0: none is"),
      number("neighbours.shared", &n.shared, 0.01, 1,
             "`data overlap`: least cosine of the centres of one person in two sets"),
      flag("neighbours.pixels", &n.pixels,
           "false: `data dedup` and `data leaks` find pairs by embedding only"),
  };
}

std::vector<Field> augment_fields(AugmentConfig& a) {
  return {
      one_of("augment.preset", &a.preset,
             "preset of random augmentations in addition to data.flip; the following keys override "
             "its probabilities",
             {{"none", data::AugmentPreset::kNone},
              {"adaface", data::AugmentPreset::kAdaFace},
              {"arcface_torch", data::AugmentPreset::kArcFaceTorch}}),
      number("augment.crop", &a.crop, -1, 1, "probability; -1: from the preset"),
      number("augment.low_resolution", &a.low_resolution, -1, 1,
             "probability; -1: from the preset"),
      number("augment.blur", &a.blur, -1, 1, "probability; -1: from the preset"),
      number("augment.photometric", &a.photometric, -1, 1, "probability; -1: from the preset"),
      number("augment.grayscale", &a.grayscale, -1, 1, "probability; -1: from the preset"),
  };
}

std::vector<Field> synthetic_fields(data::SyntheticFacesOptions& s) {
  return {
      number("synthetic.identities", &s.identities, 2, 1e6,
             "number of identities in the built-in synthetic set"),
      number("synthetic.images_per_identity", &s.images_per_identity, 1, 1e5,
             "mean number of images per identity"),
      number("synthetic.near_duplicates", &s.near_duplicates, 0, 0.9,
             "planted share of near-duplicates"),
      number("synthetic.flipped_labels", &s.flipped_labels, 0, 0.5,
             "planted share of wrong labels"),
      number("synthetic.hard_samples", &s.hard_samples, 0, 0.9, "planted share of hard samples"),
      number("synthetic.verification_pairs", &s.verification_pairs, 10, 1e7,
             "number of pairs in its verification set"),
      number("synthetic.verification_identities", &s.verification_identities, 2, 1e6,
             "number of identities in that set (all unseen)"),
  };
}

}  // namespace diffprob::launch
