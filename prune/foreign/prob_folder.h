#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "prune/files/npy_file.h"

namespace diffprob::prune {

/// One file prob_E.txt of the paper's folders pred_prob_fixed, pred_prob_clean, pred_prob_history.
struct EpochFile {
  std::int64_t epoch = 0;
  std::string path;
};

/// Files prob_E.txt of a folder by rising E, at least one; other files are left alone. Throws
/// PruneError when there is none, or two of one epoch (prob_7.txt and prob_07.txt).
[[nodiscard]] std::vector<EpochFile> prob_folder_files(const std::string& folder);
/// "3, 7 to 9": epochs that lie between the first and the last one and have no file; "" if none.
[[nodiscard]] std::string missing_epochs(std::span<const EpochFile> files);

/// Every file as a row, by rising E; holds one row. Throws PruneError that names the file when it
/// is malformed, has another number of samples than the first, or more than one row.
void read_prob_folder(const std::string& folder, const TakeRow& take);

/// Makes the folder, which must not exist or be empty, and writes prob_0.txt, prob_1.txt ... into
/// it, each as numpy.savetxt does and atomically.
class ProbFolderWriter {
 public:
  explicit ProbFolderWriter(const std::string& folder);
  void append(std::span<const double> values);
  [[nodiscard]] std::int64_t epochs() const noexcept { return epochs_; }

 private:
  std::string folder_;
  std::int64_t epochs_ = 0;
};

}  // namespace diffprob::prune
