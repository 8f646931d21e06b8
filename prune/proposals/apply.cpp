#include "prune/proposals/apply.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "data/dense_labels.h"
#include "prune/error.h"

namespace diffprob::prune {
namespace {

class Applying {
 public:
  Applying(const std::string& where, std::span<const std::int64_t> labels, std::int64_t classes)
      : where_(where), labels_(labels), becomes_(static_cast<std::size_t>(classes)) {
    std::iota(becomes_.begin(), becomes_.end(), std::int64_t{0});
  }

  void take(const ProposalLine& line) {
    const Proposal& p = line.proposal;
    check_identity(line, "identity", p.identity);
    if (p.kind != Proposal::Kind::kSplit) check_identity(line, "proposed", p.proposed);
    if (p.identity == p.proposed)
      throw PruneError(at(line) + "identity and proposed are both " + std::to_string(p.identity) +
                       ", expected two identities");
    if (p.kind == Proposal::Kind::kMerge) return take_merge(line);
    check_sample(line);
    claim(samples_, p.index, line, "sample " + std::to_string(p.index) + " is in");
    if (p.kind == Proposal::Kind::kSplit) {
      split_lines_.emplace(p.identity, line.line);
      split_of_[p.index] = p.identity;
    } else {
      relabel_of_[p.index] = p.proposed;
    }
  }

  AppliedProposals finish() {
    refuse_split_and_merged();
    const auto classes = static_cast<std::int64_t>(becomes_.size());
    std::map<std::int64_t, std::int64_t> new_label;  // of a split identity
    for (const auto& [identity, line] : split_lines_)
      new_label.emplace(identity, classes + static_cast<std::int64_t>(new_label.size()));
    AppliedProposals result;
    result.labels.reserve(labels_.size());
    std::vector<bool> remains(becomes_.size(), false);
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      const auto index = static_cast<std::int64_t>(i);
      if (const auto split = split_of_.find(index); split != split_of_.end()) {
        result.labels.push_back(new_label.at(split->second));
      } else if (const auto other = relabel_of_.find(index); other != relabel_of_.end()) {
        result.labels.push_back(root(other->second));
      } else {
        result.labels.push_back(root(labels_[i]));
        remains[static_cast<std::size_t>(labels_[i])] = true;
      }
    }
    data::DenseLabels dense(classes + static_cast<std::int64_t>(new_label.size()));
    for (const std::int64_t label : result.labels) dense.keep(label);
    const std::vector<std::int64_t> map = std::move(dense).map();
    for (std::int64_t& label : result.labels) label = map[static_cast<std::size_t>(label)];
    for (std::size_t c = 0; c < becomes_.size(); ++c)
      result.label_map.push_back(
          remains[c] ? map[static_cast<std::size_t>(root(static_cast<std::int64_t>(c)))] : -1);
    result.num_classes = 1 + *std::max_element(map.begin(), map.end());
    result.relabels = static_cast<std::int64_t>(relabel_of_.size());
    result.merges = static_cast<std::int64_t>(merges_.size());
    result.splits = static_cast<std::int64_t>(split_lines_.size());
    result.split_samples = static_cast<std::int64_t>(split_of_.size());
    return result;
  }

 private:
  [[nodiscard]] std::string at(const ProposalLine& line) const {
    return where_ + " line " + std::to_string(line.line) + ": ";
  }
  void check_identity(const ProposalLine& line, const char* column, std::int64_t identity) const {
    const auto classes = static_cast<std::int64_t>(becomes_.size());
    if (identity >= 0 && identity < classes) return;
    throw PruneError(at(line) + column + " is " + std::to_string(identity) +
                     ", but the data set has the identities 0 to " + std::to_string(classes - 1));
  }
  void check_sample(const ProposalLine& line) const {
    const Proposal& p = line.proposal;
    if (p.index < 0 || p.index >= static_cast<std::int64_t>(labels_.size()))
      throw PruneError(at(line) + "index is " + std::to_string(p.index) +
                       ", but the data set has the samples 0 to " +
                       std::to_string(static_cast<std::int64_t>(labels_.size()) - 1));
    const std::int64_t label = labels_[static_cast<std::size_t>(p.index)];
    if (label != p.identity)
      throw PruneError(at(line) + "sample " + std::to_string(p.index) + " has the label " +
                       std::to_string(label) + " in this data set, not " +
                       std::to_string(p.identity) +
                       "; the proposals are of another set, or were applied already");
  }

  template <class Key>
  void claim(std::map<Key, std::int64_t>& taken, const Key& key, const ProposalLine& line,
             const std::string& what) const {
    const auto [found, is_new] = taken.emplace(key, line.line);
    if (!is_new)
      throw PruneError(where_ + ": " + what + " lines " + std::to_string(found->second) + " and " +
                       std::to_string(line.line) + ", expected one of them; delete the other");
  }

  void take_merge(const ProposalLine& line) {
    const std::int64_t a = line.proposal.identity, b = line.proposal.proposed;
    claim(merges_, std::pair(std::min(a, b), std::max(a, b)), line,
          "identities " + std::to_string(a) + " and " + std::to_string(b) + " are merged in");
    for (const std::int64_t each : {a, b}) merge_lines_.emplace(each, line.line);
    becomes_[static_cast<std::size_t>(root(a))] = root(b);
  }

  /// Nobody could say which of the merged identities the new one was split from.
  void refuse_split_and_merged() const {
    for (const auto& [identity, line] : split_lines_) {
      const auto merged = merge_lines_.find(identity);
      if (merged == merge_lines_.end()) continue;
      throw PruneError(where_ + ": identity " + std::to_string(identity) + " is split in line " +
                       std::to_string(line) + " and merged in line " +
                       std::to_string(merged->second) + ", expected one of them; delete the other");
    }
  }

  [[nodiscard]] std::int64_t root(std::int64_t identity) {
    auto& next = becomes_[static_cast<std::size_t>(identity)];
    while (next != becomes_[static_cast<std::size_t>(next)])
      next = becomes_[static_cast<std::size_t>(next)];
    return next;
  }

  const std::string& where_;
  std::span<const std::int64_t> labels_;
  std::vector<std::int64_t> becomes_;                 // [C]: itself, or one that it is merged into
  std::map<std::int64_t, std::int64_t> samples_;      // index -> line
  std::map<std::int64_t, std::int64_t> split_of_;     // index -> identity
  std::map<std::int64_t, std::int64_t> relabel_of_;   // index -> proposed
  std::map<std::int64_t, std::int64_t> split_lines_;  // identity -> first line
  std::map<std::int64_t, std::int64_t> merge_lines_;  // identity -> first line
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> merges_;  // pair -> line
};

}  // namespace

AppliedProposals apply_proposals(const std::string& where, std::span<const ProposalLine> lines,
                                 std::span<const std::int64_t> labels, std::int64_t num_classes) {
  if (labels.empty()) throw PruneError(where + ": the data set has no samples");
  Applying applying(where, labels, num_classes);
  for (const ProposalLine& line : lines) applying.take(line);
  return applying.finish();
}

}  // namespace diffprob::prune
