#include "launch/config/rows.h"
#include "launch/config/sections.h"

namespace diffprob::launch {

std::vector<Field> data_fields(DataConfig& d) {
  return {
      list("data.train", &d.train,
           "training sets: folder with train.rec, .rec file, .lst list, folder of one sub-folder a "
           "class, or, for run and sweep, 'synthetic'; several are joined, each with identities of "
           "its own"),
      text("data.kept", &d.kept,
           "index set (.h5), or a list of a form that `diffprob help convert` names, to train on; "
           "empty: every sample"),
      text(
          "data.stage_dir", &d.stage_dir,
          "folder on each node (local disk, tmpfs) into which its ranks first copy the training "
          "sets, verified; a copy that is there is used again; empty: read data.train where it is"),
      one_of("data.on_corrupt", &d.loader.on_corrupt,
             "an image that does not decode: 'fail', or 'replace' by a black one and list it",
             {{"fail", data::OnCorrupt::kFail}, {"replace", data::OnCorrupt::kReplace}}),
      flag("data.flip", &d.flip, "random horizontal flip in training, p = 0.5"),
      number("data.image_size", &d.loader.image_size, 112, 112, "side of the input images, pixels"),
      number("data.decode_threads", &d.loader.decode_threads, 0, 256,
             "decoder threads a rank; 0: in the training thread"),
      number("data.prefetch_batches", &d.loader.prefetch_batches, 1, 1024, "batches decoded ahead"),
      number("data.cache_gib", &d.cache_gib, 0, 1e6,
             "decoded images stay in memory when all fit into this, a rank; 0: never"),
      number("data.resident_gib", &d.resident_gib, 0, 1e6,
             "decoded images stay in the memory of the device (of the GPU) when all fit into this, "
             "a rank; 0: never"),
      text("data.sampling", &d.sampling,
           "'uniform': every sample once an epoch; 'balanced': every identity as often; "
           "'weighted': by n^-sampling_power of an identity of n samples",
           {"uniform", "balanced", "weighted"}),
      number("data.sampling_power", &d.sampling_power, 0, 4,
             "0: as uniform, with repeats; 1: near balanced"),
  };
}

std::vector<Field> augment_fields(AugmentConfig& a) {
  return {
      text("augment.preset", &a.preset,
           "random changes of training images besides data.flip; the next keys replace its "
           "probabilities",
           {"none", "adaface", "arcface_torch"}),
      number("augment.crop", &a.crop, -1, 1, "probability; -1: as the preset"),
      number("augment.low_resolution", &a.low_resolution, -1, 1, "probability; -1: as the preset"),
      number("augment.blur", &a.blur, -1, 1, "probability; -1: as the preset"),
      number("augment.photometric", &a.photometric, -1, 1, "probability; -1: as the preset"),
      number("augment.grayscale", &a.grayscale, -1, 1, "probability; -1: as the preset"),
  };
}

std::vector<Field> synthetic_fields(data::SyntheticFacesOptions& s) {
  return {
      number("synthetic.identities", &s.identities, 2, 1e6,
             "identities of the embedded synthetic set"),
      number("synthetic.images_per_identity", &s.images_per_identity, 1, 1e5,
             "mean images an identity"),
      number("synthetic.near_duplicates", &s.near_duplicates, 0, 0.9,
             "planted share of near-copies"),
      number("synthetic.flipped_labels", &s.flipped_labels, 0, 0.5,
             "planted share of wrong labels"),
      number("synthetic.hard_samples", &s.hard_samples, 0, 0.9, "planted share of hard samples"),
      number("synthetic.verification_pairs", &s.verification_pairs, 10, 1e7,
             "pairs of the verification set made with it"),
      number("synthetic.verification_identities", &s.verification_identities, 2, 1e6,
             "identities of that set (all unseen)"),
  };
}

}  // namespace diffprob::launch
