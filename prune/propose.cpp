#include "prune/propose.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "dist/mpi/agreement.h"
#include "prune/confusions.h"
#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/identity_embeddings.h"
#include "prune/proposals/agreement.h"
#include "prune/proposals/two_clusters.h"

namespace diffprob::prune {
namespace {

constexpr std::size_t kMostPairs = 1000000;
constexpr double kCandidate = 0.1;  // of the smaller identity's samples are mistaken for the other

/// How often samples of two identities, a < b, are mistaken for the other one.
struct Pair {
  std::int64_t a = 0, b = 0;
  std::int64_t a_as_b = 0, b_as_a = 0;
};

class Proposing {
 public:
  Proposing(const PruneResult& result, const ProposalSources& sources,
            const ProposalOptions& options, dist::HostCollectives& collectives)
      : result_(result), sources_(sources), options_(options), collectives_(collectives) {}

  Proposals run() {
    if (!result_.noise)
      leave_out(
          "scores with margin or from elsewhere do not tell which predictions are confident: no "
          "labels to change are looked for");
    relabel();
    const std::vector<Pair> pairs = candidate_pairs();
    std::vector<Proposal> merges, splits;
    if (sources_.embeddings.empty()) {
      merges = merges_by_confusions(pairs);
      leave_out(
          "no embeddings (score.embeddings): identities of two persons are not looked for, and "
          "identities of one person only by samples that are mistaken both ways");
    } else {
      dist::FirstProblem problem;
      problem.run([&] {
        open();
        merges = merges_by_centres(pairs);
        splits = splits_of_own();
      });
      problem.throw_together<PruneError>(collectives_);
      merges = gather(merges);
      splits = gather(splits);
    }
    append(std::move(merges), std::move(splits));
    return std::move(found_);
  }

 private:
  void leave_out(const std::string& what) {
    found_.left_out += (found_.left_out.empty() ? "" : "; ") + what;
  }

  /// Fills relabelled_, too, on every rank.
  void relabel() {
    for (const Suspect& each : result_.own_suspects)
      if (each.is_proposed) relabelled_.push_back(each.index);
    relabelled_ = collectives_.all_gather_v(std::span<const std::int64_t>(relabelled_));
    std::sort(relabelled_.begin(), relabelled_.end());
    for (const Suspect& each : gather_suspects(result_.own_suspects, collectives_)) {
      if (!each.is_proposed) continue;
      Proposal proposal{Proposal::Kind::kRelabel, each.index, each.label, each.suggested};
      proposal.probability = std::exp(static_cast<double>(each.top1_log_prob));
      proposal.log_margin = static_cast<double>(each.top1_log_prob) + static_cast<double>(each.nll);
      found_.all.push_back(proposal);
    }
    found_.relabels =
        collectives_.all_reduce(static_cast<std::int64_t>(found_.all.size()), dist::ReduceOp::kSum);
  }

  /// The same on every rank.
  std::vector<Pair> candidate_pairs() {
    std::map<std::pair<std::int64_t, std::int64_t>, Pair> of;
    for (const Confusion& one :
         most_frequent_confusions(result_.own_mispredicted, kMostPairs, collectives_)) {
      const std::int64_t a = std::min(one.label, one.top1), b = std::max(one.label, one.top1);
      Pair& pair = of[{a, b}];
      pair.a = a;
      pair.b = b;
      (one.label == a ? pair.a_as_b : pair.b_as_a) = one.samples;
    }
    std::vector<Pair> pairs;
    for (const auto& [identities, pair] : of) {
      const auto smaller = static_cast<double>(std::min(size(pair.a), size(pair.b)));
      if (std::min(size(pair.a), size(pair.b)) >= options_.merge_samples &&
          static_cast<double>(pair.a_as_b + pair.b_as_a) >= kCandidate * smaller)
        pairs.push_back(pair);
    }
    return pairs;
  }
  [[nodiscard]] std::int64_t size(std::int64_t identity) const {
    return result_.counts.before(identity);
  }

  [[nodiscard]] Proposal merge_of(const Pair& pair) const {
    // The smaller one becomes a part of the larger one; of equal ones the later a part of the
    // first.
    const bool a_stays = size(pair.a) >= size(pair.b);
    Proposal merge;
    merge.kind = Proposal::Kind::kMerge;
    merge.identity = a_stays ? pair.b : pair.a;
    merge.proposed = a_stays ? pair.a : pair.b;
    merge.samples = size(merge.identity);
    return merge;
  }

  [[nodiscard]] std::vector<Proposal> merges_by_confusions(const std::vector<Pair>& pairs) const {
    std::vector<Proposal> merges;
    for (const Pair& pair : pairs) {
      const double a = static_cast<double>(pair.a_as_b) / static_cast<double>(size(pair.a));
      const double b = static_cast<double>(pair.b_as_a) / static_cast<double>(size(pair.b));
      if (std::min(a, b) >= options_.merge_confusions) merges.push_back(merge_of(pair));
    }
    return merges;
  }

  void open() {
    const HdfReader scores(sources_.scores);
    const auto samples = static_cast<std::size_t>(result_.num_samples);
    std::vector<std::int32_t> labels(samples);
    scores.read_rows<std::int32_t>("label", samples, 0, std::span(labels));
    for (const std::int32_t label : labels)
      if (label < 0 || label >= result_.source.num_classes)
        throw PruneError(sources_.scores + ": has changed while it was read");
    embeddings_.emplace(sources_.embeddings, labels, result_.source);
  }

  DirectionSum direction_of(std::int64_t identity) {
    DirectionSum sum(embeddings_->dim());
    const auto units = embeddings_->units_of(identity);
    for (std::size_t i = 0; i * sum.sum.size() < units.size(); ++i)
      sum.add(units.subspan(i * sum.sum.size(), sum.sum.size()));
    return sum;
  }

  /// Of every world_size-th pair.
  std::vector<Proposal> merges_by_centres(const std::vector<Pair>& pairs) {
    std::vector<Proposal> merges;
    std::int64_t last = Proposal::kNone;
    std::optional<DirectionSum> direction;  // of `last`: pairs are in order of the first identity
    for (std::size_t k = static_cast<std::size_t>(collectives_.rank()); k < pairs.size();
         k += static_cast<std::size_t>(collectives_.world_size())) {
      if (pairs[k].a != last) direction = direction_of(last = pairs[k].a);
      const double agrees = agreement(*direction, direction_of(pairs[k].b));
      if (!(agrees >= options_.merge_agreement)) continue;
      merges.push_back(merge_of(pairs[k]));
      merges.back().agreement = agrees;
    }
    return merges;
  }

  std::vector<Proposal> splits_of_own() {
    std::vector<Proposal> splits;
    const IdentityRange range =
        embeddings_->range_of(collectives_.rank(), collectives_.world_size());
    for (std::int64_t c = range.first; c < range.last; ++c) {
      if (size(c) < 2 * options_.split_samples) continue;
      const auto [samples, units] = not_relabelled(c);
      const TwoClusters groups = two_clusters(units, embeddings_->dim());
      if (groups.smaller < options_.split_samples ||
          !(groups.agreement <= options_.split_agreement))
        continue;
      for (std::size_t i = 0; i < samples.size(); ++i) {
        if (!groups.in_smaller[i]) continue;
        Proposal split{Proposal::Kind::kSplit, samples[i], c};
        split.agreement = groups.agreement;
        split.samples = groups.smaller;
        splits.push_back(split);
      }
    }
    return splits;
  }

  /// Samples of an identity and their embeddings: those that other lines move away are no group.
  std::pair<std::vector<std::int64_t>, std::vector<float>> not_relabelled(std::int64_t identity) {
    const auto samples = embeddings_->samples_of(identity);
    const auto units = embeddings_->units_of(identity);
    std::pair<std::vector<std::int64_t>, std::vector<float>> left;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (std::binary_search(relabelled_.begin(), relabelled_.end(), samples[i])) continue;
      left.first.push_back(samples[i]);
      const auto row = units.subspan(i * embeddings_->dim(), embeddings_->dim());
      left.second.insert(left.second.end(), row.begin(), row.end());
    }
    return left;
  }

  std::vector<Proposal> gather(const std::vector<Proposal>& own) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(collectives_.world_size()), 0);
    counts[0] = static_cast<std::int64_t>(own.size());
    return collectives_.all_to_all_v(std::span<const Proposal>(own), counts);
  }

  void append(std::vector<Proposal> merges, std::vector<Proposal> splits) {
    std::sort(merges.begin(), merges.end(), [](const Proposal& a, const Proposal& b) {
      const bool known = !std::isnan(a.agreement) && a.agreement != b.agreement;
      return known ? a.agreement > b.agreement
                   : std::tie(a.identity, a.proposed) < std::tie(b.identity, b.proposed);
    });
    std::sort(splits.begin(), splits.end(), [](const Proposal& a, const Proposal& b) {
      return std::tie(a.agreement, a.identity, a.index) <
             std::tie(b.agreement, b.identity, b.index);
    });
    std::int64_t counts[2] = {static_cast<std::int64_t>(merges.size()), 0};
    for (std::size_t i = 0; i < splits.size(); ++i)
      counts[1] += i == 0 || splits[i].identity != splits[i - 1].identity ? 1 : 0;
    if (collectives_.rank() != 0) {
      counts[0] = counts[1] = 0;
    } else {
      for (const auto* more : {&merges, &splits})
        found_.all.insert(found_.all.end(), more->begin(), more->end());
    }
    collectives_.all_reduce(std::span<std::int64_t>(counts), dist::ReduceOp::kSum);
    found_.merges = counts[0];
    found_.splits = counts[1];
  }

  const PruneResult& result_;
  const ProposalSources& sources_;
  const ProposalOptions& options_;
  dist::HostCollectives& collectives_;
  std::optional<IdentityEmbeddings> embeddings_;
  std::vector<std::int64_t> relabelled_;  // samples, increasing
  Proposals found_;
};

}  // namespace

Proposals propose(const PruneResult& result, const ProposalSources& sources,
                  dist::HostCollectives& collectives, const ProposalOptions& options) {
  return Proposing(result, sources, options, collectives).run();
}

}  // namespace diffprob::prune
