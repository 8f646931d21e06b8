#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/head_files/head_files.h"
#include "model/weights/weights.h"

namespace diffprob::model {

/// Forms in which class centres are written, all float32. Forms of one file are safetensors when
/// its name ends so.
enum class HeadForm {
  kKernel,        ///< one file, `kernel` [D, C]: the header.pth of the paper's code
  kWeight,        ///< one file, `weight` [C, D]
  kCheckpoint,    ///< head.RRRRR-of-WWWWW.pth with `weight`, as in checkpoint folders
  kArcfaceTorch,  ///< checkpoint_gpu_R.pt of arcface_torch, with the network in each
  kRankWeights,   ///< rank_R_softmax_weight.pt of its earlier versions, each a single tensor
};
[[nodiscard]] const std::vector<std::pair<std::string, HeadForm>>& head_form_words();
/// Returns true for forms of one file, whose shards are 1.
[[nodiscard]] bool is_one_file(HeadForm form);

/// First class of shard `rank` of `shards` in that form: C * rank / W in our checkpoints; in
/// arcface_torch the first C % W ranks have one class more than the others.
[[nodiscard]] std::int64_t first_class_of_shard(HeadForm form, std::int64_t num_classes, int rank,
                                                int shards);

/// What else files of some forms hold.
struct HeadCompanions {
  StateDict backbone{};          ///< kArcfaceTorch
  std::int64_t epoch = 0;        ///< kArcfaceTorch: the next epoch
  std::int64_t global_step = 0;  ///< kArcfaceTorch: updates done
  StateDict header{};            ///< kKernel: state of the loss, after the kernel
};

/// Writes the centres of `head`, merged or split, to a file (forms of one file) or into a folder,
/// which is made. Files are atomic. Memory: one shard and one file of `head` at a time. Returns the
/// paths. Throws c10::Error, data::DataError.
std::vector<std::string> write_head(const std::string& path, HeadForm form, int shards,
                                    const HeadFiles& head, const HeadCompanions& companions = {});

}  // namespace diffprob::model
