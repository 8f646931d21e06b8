#include "prune/sample_rows.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <limits>

#include "prune/cleaning/rules.h"
#include "prune/error.h"
#include "prune/methods/methods.h"
#include "prune/methods/row.h"
#include "prune/tables/dynamics_file.h"
#include "prune/tables/score_file.h"
#include "prune/tables/source_attributes.h"

namespace diffprob::prune {
namespace {

std::string shortest(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(std::begin(text), std::end(text), value);
  return {text, end};
}

void check_same_data(const ScoreSource& a, std::int64_t a_samples, const ScoreSource& b,
                     std::int64_t b_samples, const PruneFiles& files) {
  if (a_samples == b_samples && a.num_classes == b.num_classes &&
      a.dataset_fingerprint == b.dataset_fingerprint)
    return;
  const auto text = [](const ScoreSource& source, std::int64_t samples) {
    return std::to_string(samples) + " samples, " + std::to_string(source.num_classes) +
           " identities, fingerprint '" + source.dataset_fingerprint.substr(0, 12) + "'";
  };
  throw PruneError(files.dynamics + " was recorded on a different data set (" + text(b, b_samples) +
                   ") than " + files.scores + " (" + text(a, a_samples) +
                   "); use files of one data set");
}

}  // namespace

SampleRows::SampleRows(const PruneFiles& files, const PruneOptions& options)
    : key_(row_of(options.method).key(options)),
      negate_(row_of(options.method).smallest_first(options)),
      files_(files) {
  if (files.scores.empty() && files.dynamics.empty() && files.labels &&
      reads_labels_alone(options)) {
    samples_ = files.labels->num_samples;
    source_.dataset_fingerprint = files.labels->fingerprint;
    source_.num_classes = files.labels->num_classes;
    source_.margin = source_.scale = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  const bool any_labels = files.dynamics.empty() && !is_in_dynamics(key_);
  if (options.clean || is_in_scores(key_) || any_labels) open_scores(files.scores, options);
  if (is_in_dynamics(key_) || !scores_) open_dynamics(files.dynamics, options);
  check_data_set();
}

void SampleRows::check_data_set() const {
  if (files_.dataset_fingerprint.empty() ||
      files_.dataset_fingerprint == source_.dataset_fingerprint)
    return;
  throw PruneError(where() + ": belongs to a different data set (fingerprint '" +
                   source_.dataset_fingerprint.substr(0, 12) + "') than data.train ('" +
                   files_.dataset_fingerprint.substr(0, 12) +
                   "'); score that data set, or do not set data.train");
}

void SampleRows::open_scores(const std::string& path, const PruneOptions& options) {
  if (path.empty()) {
    throw PruneError("prune: " + full_name(options) + " reads a score file: give prune.scores" +
                     (options.clean && !is_in_scores(key_) ? " (or prune.clean=false)" : ""));
  }
  scores_.emplace(std::filesystem::is_directory(path) ? open_folder(path) : path);
  scores_->check_format(kScoreFormat, kScoreVersion);
  source_ = read_source(*scores_, path);
  has_top1_log_prob_ = read_columns(*scores_, path).has("top1_log_prob");
  has_unknown_scores_ = scores_->has_attribute(kUnknownScores);
  samples_ = scores_->integer("num_samples");
  check_extents(path, samples_, source_.num_classes);
  if (static_cast<std::int64_t>(scores_->extent<std::int32_t>("label")) != samples_) {
    throw PruneError(path + ": num_samples is " + std::to_string(samples_) + ", but there are " +
                     std::to_string(scores_->extent<std::int32_t>("label")) + " labels");
  }
  for (const HdfReader& other : all_scores_) check_same_pass(path, other);
  need_columns(options);
  need_known_scores(options);
  if (key_ == Key::kEl2n) need_no_margin("EL2N");
  if (options.clean && options.cleaning.rule != CleanRule::kMispredicted)
    need_no_margin("prune.clean_rule=" + clean_rule_name(options.cleaning.rule));
  if (options.clean && options.cleaning.margin > 0) need_no_margin("prune.clean_margin");
  if (options.clean && options.cleaning.precision > 0) need_estimate();
}

std::string SampleRows::open_folder(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".h5") paths.push_back(entry.path().string());
  if (paths.empty())
    throw PruneError(folder +
                     ": no score files (*.h5) in this folder; `diffprob score` of a folder "
                     "of checkpoints writes them");
  // By step, whatever the number of its digits.
  std::sort(paths.begin(), paths.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  if (key_ != Key::kScoresMean)
    throw PruneError(folder + ": a folder of " + std::to_string(paths.size()) +
                     " score files; choose one of them, such as " + paths.back() +
                     ", or their mean with --prune.method=diffprob --prune.score=scores_mean");
  for (const std::string& path : paths) all_scores_.emplace_back(path);
  return paths.back();
}

void SampleRows::check_same_pass(const std::string& folder, const HdfReader& other) const {
  other.check_format(kScoreFormat, kScoreVersion);
  const ScoreSource source = read_source(other, folder);
  const bool same_margin =
      source.margin == source_.margin || (std::isnan(source.margin) && std::isnan(source_.margin));
  if (other.integer("num_samples") != samples_ || source.num_classes != source_.num_classes ||
      source.dataset_fingerprint != source_.dataset_fingerprint || !same_margin)
    throw PruneError(folder +
                     ": holds score files of different data sets or margins, whose mean "
                     "means nothing; keep those of one scoring");
  if (other.has_attribute(kUnknownScores))
    throw PruneError(folder +
                     ": a score file has samples that are marked as mispredicted and have "
                     "no probability, so there is no mean; take the mean of the paper's "
                     "files with `diffprob convert --epoch=mean`");
}

void SampleRows::read_mean(std::int64_t first, std::span<double> keys) const {
  std::fill(keys.begin(), keys.end(), 0.0);
  std::vector<float> probability(keys.size());
  const auto add = [&](const HdfReader& file) {
    read(file, "probability", first, std::span(probability));
    for (std::size_t i = 0; i < keys.size(); ++i) keys[i] += static_cast<double>(probability[i]);
  };
  if (all_scores_.empty()) add(*scores_);
  for (const HdfReader& file : all_scores_) add(file);
  const auto files = static_cast<double>(std::max<std::size_t>(all_scores_.size(), 1));
  for (double& key : keys) key /= files;  // a sum of floats that are at most 1
}

void SampleRows::need_columns(const PruneOptions& options) const {
  const ScoreColumns columns = read_columns(*scores_, files_.scores);
  const auto need = [&](const char* name, const char* purpose, const char* remedy) {
    need_column(files_.scores, columns, name, purpose, remedy);
  };
  constexpr const char* kNoCleaning = "prune them without cleaning (--prune.clean=false)";
  if (options.clean) {
    need("top1", "cleaning", kNoCleaning);
    if (reads_log_probs(options.cleaning)) need("top1_log_prob", "this cleaning rule", kNoCleaning);
    if (is_of_cleanlab(options.cleaning.rule) || options.cleaning.precision > 0)
      need("second_log_prob", "this cleaning rule", kNoCleaning);
  }
  if (key_ == Key::kEl2n)
    need("sum_p2", "EL2N", "score the data set with this program, or choose another method");
}

void SampleRows::need_no_margin(const std::string& what) const {
  if (source_.margin == 0) return;
  throw PruneError(
      files_.scores + ": " + what +
      " needs the probability of the label without margin, but the file was scored with margin " +
      shortest(source_.margin) +
      ", from which it cannot be derived; score again with score.margin=0");
}

void SampleRows::need_estimate() const {
  need_no_margin("prune.clean_precision");
  if (can_estimate_noise()) return;
  throw PruneError(files_.scores +
                   ": prune.clean_precision estimates how many labels are wrong, which needs "
                   "probabilities of all samples and of their most probable classes; score the "
                   "data set with this program, or give prune.clean_margin");
}

void SampleRows::need_known_scores(const PruneOptions& options) const {
  if (!has_unknown_scores_ || options.clean || !is_in_scores(key_)) return;
  throw PruneError(files_.scores + ": " + std::to_string(scores_->integer(kUnknownScores)) +
                   " samples are marked as mispredicted (-1 in the paper's pred_prob_clean) and "
                   "have no probability, so they can only be dropped: prune with "
                   "--prune.clean=true, or import the scores of pred_prob_fixed");
}

void SampleRows::fill_unknown(std::int64_t first, std::span<float> keys) const {
  if (!has_unknown_scores_) return;
  std::vector<std::int32_t> top1(keys.size());
  read(*scores_, "top1", first, std::span(top1));
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (top1[i] == kUnknownClass && std::isnan(keys[i])) keys[i] = 0;
}

void SampleRows::open_dynamics(const std::string& path, const PruneOptions& options) {
  if (path.empty()) {
    throw PruneError("prune: " + full_name(options) +
                     " reads a file of training dynamics: give prune.dynamics");
  }
  dynamics_.emplace(path);
  dynamics_->check_format(kDynamicsFormat, kDynamicsVersion);
  const ScoreSource source = read_source(*dynamics_, path);
  const std::int64_t samples = dynamics_->integer("num_samples");
  check_extents(path, samples, source.num_classes);
  if (static_cast<std::int64_t>(dynamics_->extent<std::int32_t>("label")) != samples) {
    throw PruneError(path + ": num_samples is " + std::to_string(samples) + ", but there are " +
                     std::to_string(dynamics_->extent<std::int32_t>("label")) + " labels");
  }
  const std::int64_t epochs = dynamics_->integer("epochs");
  if (needs_full_window(options)) choose_window(options, epochs);
  if (scores_) check_same_data(source_, samples_, source, samples, files_);
  source_ = scores_ ? source_ : source;
  samples_ = samples;
}

void SampleRows::choose_window(const PruneOptions& options, std::int64_t epochs) {
  check(options.ranked);
  const std::int64_t recorded = dynamics_->integer("window");
  window_ = options.ranked.window != 0 ? options.ranked.window : recorded;
  if (epochs <= window_) {
    throw PruneError(files_.dynamics + ": " + std::to_string(epochs) +
                     " epochs were recorded, but dynunc needs more than its window of " +
                     std::to_string(window_));
  }
  if (window_ == recorded) return;
  if (!dynamics_->has_attribute(kHistoryEpochs))
    throw PruneError(files_.dynamics + ": was recorded with a window of " +
                     std::to_string(recorded) +
                     " and without the history of the epochs, from "
                     "which that of prune.window=" +
                     std::to_string(window_) +
                     " could be computed; train with --train.record=history, or leave "
                     "prune.window out");
  history_.emplace(files_.dynamics);
}

std::string SampleRows::where() const {
  return is_of_labels() ? "data.train"
         : !scores_     ? files_.dynamics
         : !dynamics_   ? files_.scores
                        : files_.scores + " and " + files_.dynamics;
}

SampleRows::KeyType SampleRows::key_type() const {
  if (key_ == Key::kNone) return KeyType::kNone;
  const bool wide = key_ == Key::kMeanProbability || key_ == Key::kUncertainty ||
                    key_ == Key::kEl2n || key_ == Key::kScoresMean;
  return wide ? KeyType::kDouble : KeyType::kFloat;
}

void SampleRows::bad(std::int64_t row, const char* name, double value, const char* expected) {
  problems_.add(row, std::string(name) + " is " + shortest(value) + ", expected " + expected);
}

template <class T>
void SampleRows::read(const HdfReader& file, const char* name, std::int64_t first,
                      std::span<T> values) const {
  file.read_rows<T>(name, static_cast<std::size_t>(samples_), static_cast<std::size_t>(first),
                    values);
}

void SampleRows::read_labels(std::int64_t first, std::span<std::int32_t> labels) const {
  if (is_of_labels()) {
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] =
          static_cast<std::int32_t>(files_.labels->label(first + static_cast<std::int64_t>(i)));
  } else {
    read(label_file(), "label", first, labels);
  }
  RowProblems problems;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0 && labels[i] < source_.num_classes) continue;
    problems.add(first + static_cast<std::int64_t>(i), "label is " + std::to_string(labels[i]) +
                                                           ", expected 0 to " +
                                                           std::to_string(source_.num_classes - 1));
  }
  problems.throw_if_any(where());
}

void SampleRows::read_top1(std::int64_t first, std::span<std::int32_t> top1) {
  read(*scores_, "top1", first, top1);
  for (std::size_t i = 0; i < top1.size(); ++i) {
    if (top1[i] >= 0 && top1[i] < source_.num_classes) continue;
    if (has_unknown_scores_ && top1[i] == kUnknownClass) continue;
    bad(first + static_cast<std::int64_t>(i), "top1", top1[i], "a class of the data set");
  }
}

void SampleRows::read_log_probs(std::int64_t first, std::span<float> top1_log_prob,
                                std::span<float> own_log_prob) {
  read(*scores_, "top1_log_prob", first, top1_log_prob);
  read(*scores_, "nll", first, own_log_prob);
  for (std::size_t i = 0; i < own_log_prob.size(); ++i) {
    const auto row = first + static_cast<std::int64_t>(i);
    if (!(top1_log_prob[i] <= 1e-3F))
      bad(row, "top1_log_prob", static_cast<double>(top1_log_prob[i]), "at most 0");
    if (!(own_log_prob[i] >= 0))
      bad(row, "nll", static_cast<double>(own_log_prob[i]), "at least 0");
    own_log_prob[i] = -own_log_prob[i];
  }
}

void SampleRows::read_second_log_prob(std::int64_t first, std::span<float> second_log_prob) {
  read(*scores_, "second_log_prob", first, second_log_prob);
  for (std::size_t i = 0; i < second_log_prob.size(); ++i)
    if (!(second_log_prob[i] <= 1e-3F))
      bad(first + static_cast<std::int64_t>(i), "second_log_prob",
          static_cast<double>(second_log_prob[i]), "at most 0");
}

bool SampleRows::can_estimate_noise() const {
  return scores_ && source_.margin == 0 && has_top1_log_prob_ && !has_unknown_scores_;
}

void SampleRows::read_suspicion(std::int64_t first, std::span<float> nll,
                                std::span<float> top1_log_prob) const {
  read(*scores_, "nll", first, nll);
  std::fill(top1_log_prob.begin(), top1_log_prob.end(), std::numeric_limits<float>::quiet_NaN());
  if (has_top1_log_prob_) read(*scores_, "top1_log_prob", first, top1_log_prob);
}

void SampleRows::read_keys(std::int64_t first, std::span<float> keys) {
  const auto check_each = [&](const char* name, float low, float high, const char* expected) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!(keys[i] >= low && keys[i] <= high))
        bad(first + static_cast<std::int64_t>(i), name, static_cast<double>(keys[i]), expected);
    }
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kLargest = std::numeric_limits<float>::max();
  if (key_ == Key::kNll) {
    read(*scores_, "nll", first, keys);
    fill_unknown(first, keys);
    check_each("nll", 0, kInfinity, "at least 0");
  } else if (key_ == Key::kProbability) {
    read(*scores_, "probability", first, keys);
    fill_unknown(first, keys);
    check_each("probability", 0, 1, "0 to 1");
  } else if (key_ == Key::kLastProbability) {
    read(*dynamics_, "last_probability", first, keys);
    check_each("last_probability", 0, 1, "0 to 1");
  } else if (key_ == Key::kAum) {
    read(*dynamics_, "aum", first, keys);
    check_each("aum", -kLargest, kLargest, "a finite number");
  } else {
    std::vector<std::int32_t> counts(keys.size());
    read(*dynamics_, "forgetting", first, std::span(counts));
    std::copy(counts.begin(), counts.end(), keys.begin());
    check_each("forgetting", 0, kLargest, "0 or more");
  }
  if (negate_)
    std::transform(keys.begin(), keys.end(), keys.begin(), [](float key) { return 0.0F - key; });
}

void SampleRows::read_keys(std::int64_t first, std::span<double> keys) {
  const auto row = [first](std::size_t i) { return first + static_cast<std::int64_t>(i); };
  if (key_ == Key::kMeanProbability) {
    read(*dynamics_, "mean_probability", first, keys);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!(keys[i] >= 0 && keys[i] <= 1)) bad(row(i), "mean_probability", keys[i], "0 to 1");
    }
  } else if (key_ == Key::kScoresMean) {
    read_mean(first, keys);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!(keys[i] >= 0 && keys[i] <= 1)) bad(row(i), "probability", keys[i], "0 to 1");
    }
  } else if (key_ == Key::kUncertainty) {
    if (history_) {
      const auto computed =
          history_->uncertainty({first, first + static_cast<std::int64_t>(keys.size())}, window_);
      std::copy(computed.begin(), computed.end(), keys.begin());
    } else {
      read(*dynamics_, "uncertainty", first, keys);
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!(keys[i] >= 0 && std::isfinite(keys[i])))
        bad(row(i), "uncertainty", keys[i], "a finite number, 0 or more");
    }
  } else {
    std::vector<float> sum_p2(keys.size());
    std::vector<float> nll(keys.size());
    read(*scores_, "sum_p2", first, std::span(sum_p2));
    read(*scores_, "nll", first, std::span(nll));
    fill_unknown(first, nll);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!(sum_p2[i] >= 0 && sum_p2[i] <= 1.001F))
        bad(row(i), "sum_p2", static_cast<double>(sum_p2[i]), "0 to 1");
      if (!(nll[i] >= 0)) bad(row(i), "nll", static_cast<double>(nll[i]), "at least 0");
      keys[i] = el2n(sum_p2[i], nll[i]);
    }
  }
  if (negate_)
    std::transform(keys.begin(), keys.end(), keys.begin(), [](double key) { return 0.0 - key; });
}

}  // namespace diffprob::prune
