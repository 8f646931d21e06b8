#include "launch/duplicates/overlap.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <unordered_set>
#include <utility>

#include "dist/mpi/agreement.h"
#include "launch/duplicates/by_embedding/embedded_sets.h"
#include "launch/duplicates/by_embedding/search.h"
#include "launch/duplicates/by_embedding/shared_identities.h"
#include "launch/duplicates/pair_files.h"
#include "launch/inputs/open_data.h"
#include "launch/inputs/open_with_progress.h"
#include "launch/job/output_folder.h"

namespace diffprob::launch {
namespace {

using Dataset = std::shared_ptr<const data::Dataset>;

bool by_centres(const Config& config) {
  return !config.neighbours.embeddings.empty() && !config.neighbours.other_embeddings.empty();
}

std::pair<EmbeddedData, EmbeddedData> open_both(const Config& config, const Dataset& ours,
                                                const Dataset& theirs) {
  std::pair both(
      open_embeddings(config.neighbours.embeddings, ours, "data.train"),
      open_embeddings(config.neighbours.other_embeddings.front(), theirs, "neighbours.other"));
  check_same_network(*both.first.rows, *both.second.rows);
  return both;
}

std::vector<eval::IdentityPair> near_identities(const Config& config, const Dataset& ours,
                                                const Dataset& theirs, Runtime& runtime) {
  std::optional<std::pair<EmbeddedData, EmbeddedData>> both;
  dist::together<std::runtime_error>(runtime.control(),
                                     [&] { both = open_both(config, ours, theirs); });
  return search_identities(both->first.set(), both->second.set(), config, runtime).identities;
}

/// Names of both sets, or of neither.
std::pair<IdentityNames, IdentityNames> common_names(const Config& config, const Dataset& ours,
                                                     const Dataset& theirs) {
  std::pair names(identity_names(*ours), identity_names(*theirs));
  const bool known = !names.first.names.empty() && !names.second.names.empty();
  if (known) spdlog::info("overlap: names from {} and {}", names.first.source, names.second.source);
  const auto why = [&](const char* set, const IdentityNames& of) {
    return of.names.empty() ? fmt::format("; {}: {}", set, of.why_none) : std::string();
  };
  const std::string reasons =
      why("data.train", names.first) + why("neighbours.other", names.second);
  if (!known && !by_centres(config))
    throw std::runtime_error(
        "overlap: people cannot be compared by name" + reasons +
        ". Give embeddings of both sets by one network (neighbours.embeddings and "
        "neighbours.other_embeddings, diffprob embed)");
  if (!known) spdlog::info("overlap: compared by centres only{}", reasons);
  return names;
}

std::vector<std::int64_t> samples_of_shared(const data::Dataset& dataset,
                                            const std::vector<SharedIdentity>& shared) {
  std::unordered_set<std::int64_t> identities;
  for (const SharedIdentity& pair : shared) identities.insert(pair.a);
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    if (identities.contains(dataset.label(i))) samples.push_back(i);
  return samples;
}

/// What the command writes and says, on one rank.
void write_results(const Config& config, const data::Dataset& ours, const data::Dataset& theirs,
                   const std::pair<IdentityNames, IdentityNames>& names,
                   const std::vector<eval::IdentityPair>& centres) {
  const bool named = !names.first.names.empty() && !names.second.names.empty();
  const auto shared = named ? shared_identities(names.first, names.second, centres)
                            : shared_identities({}, {}, centres);
  const std::string csv = config.output + "/overlap.csv";
  write_overlap(csv, shared, {ours, names.first}, {theirs, names.second});
  const std::vector<std::int64_t> samples = samples_of_shared(ours, shared);
  std::string rest = "all its samples are of shared identities, so no index set was written";
  if (static_cast<std::int64_t>(samples.size()) < ours.size()) {
    rest = config.output + "/without_shared.h5";
    const std::int64_t kept = write_rest(rest, {{samples, prune::Reason::kDuplicate}}, "overlap",
                                         config.neighbours.shared, ours);
    rest = fmt::format("{} keeps the {} samples of the others", rest, kept);
  }
  spdlog::info(
      "overlap: {} of {} identities of data.train are among the {} of {}, where they are {} "
      "identities ({} pairs by name, {} by centre); {}; {}",
      different_first(shared), ours.num_classes(), theirs.num_classes(),
      fmt::join(config.neighbours.other, ", "), different_second(shared),
      std::ranges::count_if(shared, &SharedIdentity::by_name),
      std::ranges::count_if(shared, &SharedIdentity::by_centre), csv, rest);
}

}  // namespace

void overlap_command(const Config& config, Runtime& runtime) {
  const FolderLock lock = make_output_folder(config, runtime);
  const Dataset ours = open_training_set(config, runtime);
  Dataset theirs;
  std::pair<IdentityNames, IdentityNames> names;
  theirs = open_together(config.neighbours.other, "", runtime);
  dist::together<std::runtime_error>(runtime.control(), [&] {
    if (runtime.is_root()) names = common_names(config, ours, theirs);
  });
  const auto centres = by_centres(config) ? near_identities(config, ours, theirs, runtime)
                                          : std::vector<eval::IdentityPair>();
  dist::together<std::runtime_error>(runtime.control(), [&] {
    if (runtime.is_root()) write_results(config, *ours, *theirs, names, centres);
  });
}

void check_overlap_inputs(const Config& config) {
  const NeighboursConfig& n = config.neighbours;
  if (n.other.empty())
    throw ConfigError({"neighbours.other: expected the data set that data.train is compared with"});
  if (n.other_embeddings.size() > 1 || n.embeddings.empty() != n.other_embeddings.empty())
    throw ConfigError(
        {fmt::format("neighbours.embeddings and neighbours.other_embeddings: expected one file "
                     "each, or none, got {} and {}",
                     n.embeddings.empty() ? 0 : 1, n.other_embeddings.size())});
  const Dataset theirs = open_with_progress(n.other);
  if (by_centres(config))
    check_same_network(EmbeddingRows(n.embeddings), EmbeddingRows(n.other_embeddings.front()));
}

}  // namespace diffprob::launch
