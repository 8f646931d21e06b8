#include "prune/tables/scored_samples.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/tables/score_columns.h"
#include "prune/tables/score_file.h"

namespace diffprob::prune {
namespace {

constexpr std::int64_t kNewestVersion = 1;
constexpr std::size_t kRows = kHdfChunkElements;

[[noreturn]] void bad_row(const std::string& file, std::size_t row, const std::string& what) {
  throw PruneError(file + ": sample " + std::to_string(row) + ": " + what);
}

}  // namespace

ScoredSamples::ScoredSamples(std::string scores, std::string index_set)
    : scores_(std::move(scores)), index_set_(std::move(index_set)) {
  const HdfReader table(scores_), set(index_set_);
  table.check_format("diffprob-scores", kNewestVersion);
  set.check_format("diffprob-index-set", kNewestVersion);
  samples_ = table.integer("num_samples");
  classes_ = table.integer("num_classes");
  fingerprint_ = table.text("dataset_fingerprint");
  has_top1_ = read_columns(table, scores_).has("top1");
  const auto rows = static_cast<std::int64_t>(table.extent<std::int32_t>("label"));
  if (samples_ != rows)
    throw PruneError(scores_ + ": " + std::to_string(rows) + " labels for " +
                     std::to_string(samples_) + " samples");
  // Memory is taken for each class: only as much as the samples make likely.
  if (classes_ < 1 || classes_ > 4 * samples_ + 1000000) {
    throw PruneError(scores_ + ": " + std::to_string(classes_) + " identities for " +
                     std::to_string(samples_) + " samples");
  }
  const std::string other = set.text("dataset_fingerprint");
  if (set.integer("num_samples") != samples_ ||
      (!other.empty() && !fingerprint_.empty() && other != fingerprint_)) {
    throw PruneError(index_set_ + ": was made from a different data set than " + scores_);
  }
  const auto reasons = static_cast<std::int64_t>(set.extent<std::uint8_t>("reason"));
  if (reasons != samples_)
    throw PruneError(index_set_ + ": " + std::to_string(reasons) + " reasons for " +
                     std::to_string(samples_) + " samples");
}

void ScoredSamples::for_each(const std::function<void(const ScoredSample&)>& use) const {
  const HdfReader table(scores_), set(index_set_);
  const auto all = static_cast<std::size_t>(samples_);
  std::vector<std::int32_t> label, top1;
  std::vector<float> nll, probability;
  std::vector<std::uint8_t> reason;
  for (std::size_t first = 0; first < all; first += kRows) {
    const std::size_t rows = std::min(kRows, all - first);
    label.resize(rows);
    top1.assign(rows, -1);
    nll.resize(rows);
    probability.resize(rows);
    reason.resize(rows);
    table.read_rows("label", all, first, std::span(label));
    if (has_top1_) table.read_rows("top1", all, first, std::span(top1));
    table.read_rows("nll", all, first, std::span(nll));
    table.read_rows("probability", all, first, std::span(probability));
    set.read_rows("reason", all, first, std::span(reason));
    for (std::size_t i = 0; i < rows; ++i) {
      if (label[i] < 0 || label[i] >= classes_)
        bad_row(scores_, first + i, "identity " + std::to_string(label[i]));
      if (has_top1_ && top1[i] == kUnknownClass) {
        nll[i] = std::numeric_limits<float>::infinity();
        probability[i] = 0;
      }
      if (!(probability[i] >= 0 && probability[i] <= 1))
        bad_row(scores_, first + i, "probability " + std::to_string(probability[i]));
      if (!(nll[i] >= 0)) bad_row(scores_, first + i, "nll " + std::to_string(nll[i]));
      if (reason[i] > static_cast<std::uint8_t>(kLastReason)) {
        bad_row(index_set_, first + i, "unknown reason " + std::to_string(reason[i]));
      }
      use({static_cast<std::int64_t>(first + i), label[i], top1[i], nll[i], probability[i],
           static_cast<Reason>(reason[i])});
    }
  }
}

}  // namespace diffprob::prune
