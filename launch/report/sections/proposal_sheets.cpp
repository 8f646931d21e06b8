#include "launch/report/sections/proposal_sheets.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "launch/report/sections/images.h"

namespace diffprob::launch {
namespace {

using prune::Proposal;
using prune::ProposalLine;

constexpr std::size_t kRelabels = 12, kMerges = 6, kSplits = 6;  // shown
constexpr std::size_t kBeside = 3;   // faces of the identity beside a face
constexpr std::size_t kOfGroup = 4;  // faces of each of two groups

std::string identity_text(std::int64_t identity, const std::string& name) {
  return name.empty() ? std::to_string(identity) : fmt::format("{} ({})", identity, name);
}

class Sheets {
 public:
  Sheets(eval::HtmlWriter& html, const ReportRun& run, std::size_t most_bytes)
      : html_(html), images_(html, *run.dataset, most_bytes), run_(run) {
    choose();
    read_samples();
  }

  void write() {
    if (!relabels_.empty()) {
      heading("Another identity?", relabels_.size(), count_of(Proposal::Kind::kRelabel));
      html_.open("div", {{"class", "sheet"}});
      for (const ProposalLine* line : relabels_) write_relabel(*line);
      html_.close("div");
    }
    if (!merges_.empty()) {
      heading("Two identities, one person?", merges_.size(), count_of(Proposal::Kind::kMerge));
      for (const ProposalLine* line : merges_) write_merge(*line);
    }
    if (!splits_.empty()) {
      heading("One identity, two people?", splits_.size(), split_members_.size());
      for (const ProposalLine* line : splits_) write_split(*line);
    }
  }

 private:
  [[nodiscard]] std::size_t count_of(Proposal::Kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(run_.proposals.begin(), run_.proposals.end(),
                      [&](const ProposalLine& line) { return line.proposal.kind == kind; }));
  }

  void choose() {
    for (const ProposalLine& line : run_.proposals) {
      const Proposal& p = line.proposal;
      if (!is_in_set(p)) continue;
      if (p.kind == Proposal::Kind::kRelabel && relabels_.size() < kRelabels)
        relabels_.push_back(&line);
      if (p.kind == Proposal::Kind::kMerge && merges_.size() < kMerges) merges_.push_back(&line);
      if (p.kind == Proposal::Kind::kSplit) {
        const bool is_first = split_members_[p.identity].empty();
        split_members_[p.identity].insert(p.index);
        if (is_first && splits_.size() < kSplits) splits_.push_back(&line);
      }
    }
    for (const auto* lines : {&relabels_, &merges_, &splits_})
      for (const ProposalLine* line : *lines) {
        of_label_[line->proposal.identity];
        if (line->proposal.proposed != Proposal::kNone) of_label_[line->proposal.proposed];
      }
  }
  /// The file may have been edited.
  [[nodiscard]] bool is_in_set(const Proposal& p) const {
    const std::int64_t classes = run_.scored->samples.num_classes();
    return p.index < run_.dataset->size() && p.identity < classes && p.proposed < classes;
  }

  /// All samples of the shown identities, the most typical first.
  void read_samples() {
    run_.scored->samples.for_each([&](const prune::ScoredSample& sample) {
      const auto found = of_label_.find(sample.label);
      if (found != of_label_.end()) found->second.push_back(sample);
    });
    for (auto& [label, samples] : of_label_)
      std::sort(samples.begin(), samples.end(), [](const auto& a, const auto& b) {
        return std::tie(a.nll, a.index) < std::tie(b.nll, b.index);
      });
  }

  void heading(const char* question, std::size_t shown, std::size_t all) {
    html_.element("h3", shown < all ? fmt::format("{} ({} of {} shown)", question, shown, all)
                                    : fmt::format("{} ({})", question, all));
  }

  /// The first `count` faces of an identity for which takes() is true, side by side.
  template <class Takes>
  void write_faces_of(std::int64_t identity, std::size_t count, const char* style,
                      const Takes& takes) {
    for (const prune::ScoredSample& sample : of_label_[identity]) {
      if (!takes(sample)) continue;
      if (count-- == 0) return;
      images_.write(sample.index, {style, fmt::format("label {}", identity),
                                   fmt::format("image {}, label {}", sample.index, identity)});
    }
  }
  [[nodiscard]] bool is_named(std::int64_t sample) const {
    return std::any_of(relabels_.begin(), relabels_.end(),
                       [&](const ProposalLine* line) { return line->proposal.index == sample; });
  }

  void write_relabel(const ProposalLine& line) {
    const Proposal& p = line.proposal;
    html_.open("div", {{"class", "group"}});
    const std::string caption = fmt::format("{} \u2192 {}?", p.identity, p.proposed);
    images_.write(p.index, {"cleaned", caption,
                            fmt::format("image {}, label {}, looks like identity {}", p.index,
                                        identity_text(p.identity, line.name),
                                        identity_text(p.proposed, line.proposed_name))});
    write_faces_of(p.proposed, kBeside, "kept",
                   [&](const auto& each) { return !is_named(each.index); });
    html_.close("div");
  }

  void write_merge(const ProposalLine& line) {
    const Proposal& p = line.proposal;
    html_.element("h4",
                  fmt::format("Identities {} and {}{}", identity_text(p.identity, line.name),
                              identity_text(p.proposed, line.proposed_name), agreement_text(p)));
    html_.open("div", {{"class", "sheet"}});
    for (const std::int64_t identity : {p.identity, p.proposed}) {
      html_.open("div", {{"class", "group"}});
      write_faces_of(identity, kOfGroup, identity == p.identity ? "cleaned" : "kept",
                     [&](const auto& each) { return !is_named(each.index); });
      html_.close("div");
    }
    html_.close("div");
  }

  void write_split(const ProposalLine& line) {
    const Proposal& p = line.proposal;
    const auto& members = split_members_[p.identity];
    html_.element(
        "h4", fmt::format("Identity {}: {} images apart from the others{}",
                          identity_text(p.identity, line.name), members.size(), agreement_text(p)));
    html_.open("div", {{"class", "sheet"}});
    for (const bool apart : {false, true}) {
      html_.open("div", {{"class", "group"}});
      write_faces_of(p.identity, kOfGroup, apart ? "cleaned" : "kept", [&](const auto& each) {
        return (members.count(each.index) > 0) == apart && !is_named(each.index);
      });
      html_.close("div");
    }
    html_.close("div");
  }
  [[nodiscard]] static std::string agreement_text(const Proposal& p) {
    return std::isnan(p.agreement) ? "" : fmt::format(" (agreement {:.2f})", p.agreement);
  }

  eval::HtmlWriter& html_;
  PageImages images_;
  const ReportRun& run_;
  std::vector<const ProposalLine*> relabels_, merges_, splits_;  // shown; of a split its first line
  std::map<std::int64_t, std::set<std::int64_t>> split_members_;
  std::map<std::int64_t, std::vector<prune::ScoredSample>> of_label_;
};

}  // namespace

void write_proposal_sheets(eval::HtmlWriter& html, const ReportRun& run, std::size_t most_bytes) {
  Sheets(html, run, most_bytes).write();
}

}  // namespace diffprob::launch
