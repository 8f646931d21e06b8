#pragma once

#include <string>
#include <vector>

#include "data/sets/verification_set.h"
#include "eval/embed/embedder.h"
#include "launch/config/config.h"
#include "launch/evaluate/ijb_set.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Files of eval.scores and eval.roc: one per network, set and pooling variant. Where there are
/// several networks, sets or variants, their names stand before the suffix.
class OutputFiles {
 public:
  /// config must outlive it.
  OutputFiles(const Config& config, bool many_networks);

  /// What IJB sets write for a network. This must outlive it.
  [[nodiscard]] IjbOutputs of_ijb(const std::string& network) const;
  /// Writes the files of a verification set. Collective.
  void write(const std::string& network, const data::VerificationSet& set,
             const eval::VerifiedSet& verified, Runtime& runtime) const;

 private:
  [[nodiscard]] std::string name(const std::string& file, const std::string& network,
                                 const std::string& set, const std::string& variant = "") const;

  const Config& config_;
  bool many_networks_;
  bool many_sets_;
  bool many_variants_;
};

/// What is wrong with eval.json, eval.scores and eval.roc, "KEY: what". Not collective.
[[nodiscard]] std::vector<std::string> output_file_problems(const Config& config);

}  // namespace diffprob::launch
