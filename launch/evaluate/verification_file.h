#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/embed/embedder.h"
#include "eval/metrics/verification_curves.h"

namespace diffprob::launch {

/// What verification.json keeps of a set.
struct StoredVerification {
  std::string set;
  std::int64_t pairs = 0;
  double accuracy = 0;                ///< 0..1
  double accuracy_std = 0;            ///< over the folds
  double auc = 0;                     ///< NaN when it is not defined
  double eer = 0;                     ///< as auc
  double feature_norm = 0;            ///< NaN in files of earlier programs
  std::vector<double> fold_accuracy;  ///< [folds]
  eval::VerificationCurves curves;
};
struct VerificationFile {
  std::vector<StoredVerification> untrained;  ///< of the initial network, when it was verified
  std::vector<StoredVerification> trained;
};

/// Beside a training: what its first and last verification found, for the report (about 4 KB a
/// set). JSON, whole or not at all.
void write_verification(const std::string& path, const std::vector<eval::SetReport>& untrained,
                        const std::vector<eval::SetReport>& trained);
/// Throws std::runtime_error that names the file on anything malformed.
[[nodiscard]] VerificationFile read_verification(const std::string& path);

}  // namespace diffprob::launch
