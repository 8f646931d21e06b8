#pragma once

#include <optional>
#include <string>
#include <vector>

namespace diffprob::model {

/// The rank that a file of class centres belongs to, as its name says.
struct RankInName {
  int rank = 0;
  int ranks = 0;  ///< in total; 0: the name does not say
};

/// Reads it from names such as checkpoint_gpu_3.pt, rank_3_softmax_weight.pt, classifier_rank3.pt
/// and head.00003-of-00008.pth. Folders before the name do not count.
[[nodiscard]] std::optional<RankInName> rank_in_name(const std::string& path);

/// Replaces folders by the files of class centres in them: those of one of our checkpoints, of
/// arcface_torch (checkpoint_gpu_R.pt or rank_R_softmax_weight.pt) or of CVLface. Throws c10::Error
/// when a folder holds none of them, or two kinds.
[[nodiscard]] std::vector<std::string> without_folders(const std::vector<std::string>& paths);

/// Sorts files by the ranks in their names; files without ranks keep their order. Throws c10::Error
/// naming the ranks when one is missing or there twice, and files when some names lack a rank. Of a
/// training with copies of the head, files of the first group of ranks are all there are.
[[nodiscard]] std::vector<std::string> in_rank_order(const std::vector<std::string>& files);

}  // namespace diffprob::model
