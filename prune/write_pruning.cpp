#include <algorithm>
#include <memory>

#include "dist/mpi/agreement.h"
#include "prune/error.h"
#include "prune/lists/index_set_writer.h"
#include "prune/lists/kept_index_writer.h"
#include "prune/methods/methods.h"
#include "prune/prune.h"
#include "prune/summary.h"

namespace diffprob::prune {
namespace {

/// The files of a pruning while the reasons come in, block after block in the order of the samples.
class ResultFiles {
 public:
  ResultFiles(const std::string& folder, const PruneResult& result,
              dist::HostCollectives& collectives, const std::optional<WholeNumbers>& whole,
              const DescribeSample& describe)
      : folder_(folder),
        result_(result),
        collectives_(collectives),
        whole_(whole),
        describe_(describe),
        index_set_here_(collectives.rank() == 0),
        text_here_(collectives.rank() == text_rank()) {
    problem_.run([&] { open(); });
  }

  void write() {
    for (std::int64_t round = 0; round < result_.blocks.rounds(); ++round) {
      const auto reasons = reasons_of_round(round);
      if (reasons.empty()) continue;
      // Block by block: the order in which chunks are written does not depend on the number of
      // ranks.
      std::size_t at = 0;
      for (int rank = 0; rank < collectives_.world_size(); ++rank) {
        const SampleRange block = result_.blocks.block(round, rank);
        const auto size = static_cast<std::size_t>(block.size());
        problem_.run([&] { append(block.first, std::span(reasons).subspan(at, size)); });
        at += size;
      }
    }
    const auto kept = gather_kept_of_identities();
    problem_.run([&] { finish(kept); });
    write_suspicious();
    problem_.throw_together<PruneError>(collectives_);
  }

 private:
  [[nodiscard]] static std::size_t index_of(std::int64_t sample) {
    return static_cast<std::size_t>(sample);
  }
  [[nodiscard]] int text_rank() const { return std::min(1, collectives_.world_size() - 1); }

  void open() {
    if (whole_ && static_cast<std::int64_t>(whole_->indices.size()) != result_.num_samples)
      throw PruneError("prune: the part has " + std::to_string(whole_->indices.size()) +
                       " samples, but " + std::to_string(result_.num_samples) + " are scored");
    if (index_set_here_ || text_here_) label_map_ = result_.label_map();
    if (index_set_here_) {
      IndexSet head;
      head.dataset_fingerprint = result_.source.dataset_fingerprint;
      head.num_samples = result_.num_samples;
      head.label_map = label_map_;
      head.method = full_name(result_.options);
      head.threshold = result_.threshold();
      index_set_ = std::make_unique<IndexSetWriter>(folder_ + "/index_set.h5", head, result_.kept);
    }
    if (text_here_) text_ = std::make_unique<KeptIndexTextWriter>(folder_ + "/kept_index.txt");
  }

  /// Own block to the ranks that write -> the round's blocks there, nothing elsewhere.
  std::vector<Reason> reasons_of_round(std::int64_t round) {
    const auto size = static_cast<std::size_t>(result_.blocks.own(round).size());
    std::span<const Reason> own;
    if (size > 0)
      own = std::span(result_.own_reasons)
                .subspan(static_cast<std::size_t>(result_.blocks.own_offset(round)), size);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(collectives_.world_size()), 0);
    std::vector<Reason> sent;
    for (int rank = 0; rank <= text_rank(); ++rank) {
      counts[static_cast<std::size_t>(rank)] = static_cast<std::int64_t>(size);
      sent.insert(sent.end(), own.begin(), own.end());
    }
    return collectives_.all_to_all_v(std::span<const Reason>(sent), counts);
  }

  void append(std::int64_t first, std::span<const Reason> reasons) {
    if (index_set_) index_set_->append(reasons);
    if (!text_ && !whole_) return;
    kept_.clear();
    for (std::size_t i = 0; i < reasons.size(); ++i) {
      const std::int64_t sample = first + static_cast<std::int64_t>(i);
      if (is_kept(reasons[i])) kept_.push_back(whole_ ? whole_->indices[index_of(sample)] : sample);
    }
    if (text_) text_->append(kept_);
    if (whole_ && index_set_)
      kept_of_whole_.insert(kept_of_whole_.end(), kept_.begin(), kept_.end());
  }

  /// Samples kept of each identity, on rank 0.
  std::vector<std::int32_t> gather_kept_of_identities() {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(collectives_.world_size()), 0);
    counts[0] = static_cast<std::int64_t>(result_.kept_of_own.size());
    return collectives_.all_to_all_v(std::span<const std::int32_t>(result_.kept_of_own), counts);
  }

  void write_suspicious() {
    if (!result_.options.clean) return;
    const std::vector<Suspect> suspects = gather_suspects(result_.own_suspects, collectives_);
    problem_.run([&] {
      if (index_set_here_)
        write_suspects(folder_ + "/" + kSuspectsFile, suspects, result_.source.margin, describe_,
                       whole_ ? std::span<const std::int64_t>(whole_->indices)
                              : std::span<const std::int64_t>());
    });
  }

  void finish(const std::vector<std::int32_t>& kept) {
    const std::vector<std::int64_t> label_map =
        whole_ && (index_set_ || text_) ? label_map_of_whole(*whole_, label_map_) : label_map_;
    if (index_set_) {
      const KeptOfWhole of_whole{whole_ ? whole_->fingerprint : "",
                                 whole_ ? whole_->num_samples : 0, std::move(kept_of_whole_),
                                 label_map};
      index_set_->finish(whole_ ? &of_whole : nullptr);
      write_prune_summary(folder_ + "/summary.json", result_, kept);
    }
    if (text_) {
      text_->finish();
      write_label_map_text(folder_ + "/label_map.txt", label_map);
    }
  }

  std::string folder_;
  const PruneResult& result_;
  dist::HostCollectives& collectives_;
  const std::optional<WholeNumbers>& whole_;
  const DescribeSample& describe_;
  bool index_set_here_;
  bool text_here_;
  std::vector<std::int64_t> label_map_;
  std::unique_ptr<IndexSetWriter> index_set_;
  std::unique_ptr<KeptIndexTextWriter> text_;
  std::vector<std::int64_t> kept_;
  std::vector<std::int64_t> kept_of_whole_;
  dist::FirstProblem problem_;
};

}  // namespace

void write_pruning(const std::string& folder, const PruneResult& result,
                   dist::HostCollectives& collectives, const std::optional<WholeNumbers>& whole,
                   const DescribeSample& describe) {
  ResultFiles(folder, result, collectives, whole, describe).write();
}

}  // namespace diffprob::prune
