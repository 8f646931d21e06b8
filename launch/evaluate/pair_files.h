#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/sets/verification_set.h"
#include "dist/mpi/host_collectives.h"
#include "eval/embed/embedder.h"
#include "eval/ijb/ijb.h"

namespace diffprob::launch {

/// Name of one of several files that `file` stands for: the parts before its suffix, with dots.
/// "out/scores.csv", {"lfw"} -> "out/scores.lfw.csv". A slash in a part becomes an underscore;
/// empty parts are skipped.
[[nodiscard]] std::string file_of_parts(const std::string& file,
                                        const std::vector<std::string>& parts);

/// Writes the pairs of a verification set in the order of its file (table_form() tells the form):
/// pair, same (1, 0), similarity (cosine), distance (squared, of normalised embeddings), fold,
/// threshold (distance below which the pair is accepted in its fold) and accepted (1, 0), of which
/// the accuracies of the folds follow. A .npy has the similarities. One rank.
void write_pair_scores(const std::string& path, const data::VerificationSet& set,
                       const eval::VerifiedSet& verified);
/// Writes the ROC curve of a verification set as .csv: far, tar, threshold (pairs of at least this
/// similarity are accepted); one row per distinct distance. One rank.
void write_roc(const std::string& path, const data::VerificationSet& set,
               const eval::VerifiedSet& verified);

/// Writes the pairs of an IJB protocol in the order of its list: template1, template2 (ids), same
/// and score. A .npy has the scores. `scores`: of this rank's pairs. Rank 0 writes what the others
/// send, part by part, and holds one part at a time. Throws data::DataError on all ranks.
/// Collective.
void write_template_scores(const std::string& path, const eval::IjbProtocol& protocol,
                           std::span<const double> scores, dist::HostCollectives& control);
/// Writes a ROC curve as .csv: far, tar, threshold. One rank.
void write_roc(const std::string& path, const std::vector<eval::RocPoint>& curve);

}  // namespace diffprob::launch
