#include "launch/pipeline/proposals.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <vector>

#include "dist/mpi/agreement.h"
#include "launch/config/config_error.h"
#include "prune/error.h"
#include "prune/proposals/proposal_file.h"

namespace diffprob::launch {
namespace {

/// Folder of an identity's first image where the set has one folder per identity.
std::vector<std::string> identity_names(const data::Dataset& dataset) {
  std::vector<std::string> names(static_cast<std::size_t>(dataset.num_classes()));
  if (dataset.folder().empty()) return names;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    std::string& name = names[static_cast<std::size_t>(dataset.label(i))];
    if (name.empty())
      name = std::filesystem::path(dataset.describe(i)).parent_path().filename().string();
  }
  return names;
}

}  // namespace

void check_proposals(const Config& config) {
  if (!config.prune.proposals) return;
  std::vector<std::string> problems;
  if (!config.data.kept.empty() || config.data.labels == Labels::kDense)
    problems.emplace_back(
        "prune.proposals: their samples and identities are those of a whole data set as it is; "
        "leave data.kept and data.labels=dense out (data pack makes a set of its own)");
  if (config.prune.options.clean && config.score.margin != 0)
    problems.emplace_back(
        "prune.proposals: need probabilities without margin, but score.margin is not 0");
  if (!problems.empty()) throw ConfigError(problems);
}

void write_label_proposals(const std::string& folder, const prune::PruneResult& result,
                           const prune::ProposalSources& sources,
                           const std::shared_ptr<const data::Dataset>& dataset, Runtime& runtime) {
  const prune::Proposals proposals = prune::propose(result, sources, runtime.control());
  dist::together<prune::PruneError>(runtime.control(), [&] {
    if (!runtime.is_root()) return;
    prune::ProposalNames names;
    std::vector<std::string> of_identities;
    if (dataset) {
      of_identities = identity_names(*dataset);
      names.sample = [&](std::int64_t sample) { return dataset->describe(sample); };
      names.identity = [&](std::int64_t identity) {
        return of_identities.at(static_cast<std::size_t>(identity));
      };
    }
    prune::write_proposals(folder + "/" + kProposalsFile, proposals.all, names);
  });
  if (!proposals.left_out.empty()) spdlog::info("proposals: {}", proposals.left_out);
  spdlog::info(
      "proposals: {} samples to relabel, {} pairs of identities to merge, {} identities "
      "to split; {}/{} (apply them with diffprob data apply-proposals)",
      proposals.relabels, proposals.merges, proposals.splits, folder, kProposalsFile);
}

}  // namespace diffprob::launch
