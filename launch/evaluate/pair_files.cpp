#include "launch/evaluate/pair_files.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "data/error.h"
#include "dist/mpi/agreement.h"
#include "launch/evaluate/table_file.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kPairsAtOnce = std::int64_t{1} << 19;  // 13 MB on their way to rank 0

double similarity(double distance) {
  return 1 - distance / 2;
}

/// A pair of templates on its way to rank 0.
struct ScoredPair {
  double score = 0;
  std::int32_t first = 0;
  std::int32_t second = 0;
  std::uint8_t same = 0;
};

void append(TableFile& file, const std::vector<ScoredPair>& pairs,
            const std::vector<std::int64_t>& ids) {
  std::vector<std::int64_t> first, second;
  std::vector<std::uint8_t> same;
  std::vector<double> scores;
  for (const ScoredPair& pair : pairs) {
    first.push_back(ids[static_cast<std::size_t>(pair.first)]);
    second.push_back(ids[static_cast<std::size_t>(pair.second)]);
    same.push_back(pair.same);
    scores.push_back(pair.score);
  }
  file.append({{"template1", first}, {"template2", second}, {"same", same}, {"score", scores}});
}

/// This rank's pairs [begin, begin + kPairsAtOnce), as far as it has them.
std::vector<ScoredPair> part_of(const eval::TemplatePairs& pairs, std::span<const double> scores,
                                std::int64_t begin) {
  std::vector<ScoredPair> part;
  const std::int64_t end = std::min(pairs.size(), begin + kPairsAtOnce);
  for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
    part.push_back({scores[i], pairs.first[i], pairs.second[i], pairs.same[i]});
  return part;
}

}  // namespace

std::string file_of_parts(const std::string& file, const std::vector<std::string>& parts) {
  const std::filesystem::path path(file);
  std::string name = path.stem().string();
  for (std::string part : parts) {
    std::ranges::replace(part, '/', '_');
    if (!part.empty()) name += "." + part;
  }
  return (path.parent_path() / (name + path.extension().string())).string();
}

void write_pair_scores(const std::string& path, const data::VerificationSet& set,
                       const eval::VerifiedSet& verified) {
  const std::size_t pairs = verified.distances.size();
  const auto& folds = verified.report.verification;
  std::vector<std::int64_t> number(pairs), fold_of(pairs);
  std::vector<std::uint8_t> same(pairs), accepted(pairs);
  std::vector<double> similarities(pairs), thresholds(pairs);
  for (std::size_t fold = 0; fold < folds.fold_threshold.size(); ++fold) {
    const auto [begin, end] = eval::fold_range(pairs, folds.fold_threshold.size(), fold);
    for (std::size_t i = begin; i < end; ++i) {
      number[i] = static_cast<std::int64_t>(i);
      fold_of[i] = static_cast<std::int64_t>(fold);
      same[i] = set.same[i] ? 1 : 0;
      similarities[i] = similarity(verified.distances[i]);
      thresholds[i] = folds.fold_threshold[fold];
      accepted[i] = verified.distances[i] < thresholds[i] ? 1 : 0;
    }
  }
  TableFile file(path, static_cast<std::int64_t>(pairs), "similarity", "diffprob pair scores");
  file.append({{"pair", number},
               {"same", same},
               {"similarity", similarities},
               {"distance", std::span<const double>(verified.distances)},
               {"fold", fold_of},
               {"threshold", thresholds},
               {"accepted", accepted}});
  file.commit();
}

void write_roc(const std::string& path, const data::VerificationSet& set,
               const eval::VerifiedSet& verified) {
  std::vector<eval::RocPoint> curve = eval::Roc(verified.distances, set.same).points();
  for (auto& point : curve) point.threshold = similarity(-point.threshold);  // infinity stays
  write_roc(path, curve);
}

void write_roc(const std::string& path, const std::vector<eval::RocPoint>& curve) {
  std::vector<double> far, tar, threshold;
  for (const auto& point : curve) {
    far.push_back(point.far);
    tar.push_back(point.tar);
    threshold.push_back(point.threshold);
  }
  TableFile file(path, static_cast<std::int64_t>(far.size()), "tar", "diffprob roc");
  file.append({{"far", far}, {"tar", tar}, {"threshold", threshold}});
  file.commit();
}

void write_template_scores(const std::string& path, const eval::IjbProtocol& protocol,
                           std::span<const double> scores, dist::HostCollectives& control) {
  const std::vector<std::int64_t> counts = control.all_gather(protocol.pairs.size());
  std::int64_t total = 0;
  for (const std::int64_t count : counts) total += count;
  std::optional<TableFile> file;
  dist::together<data::DataError>(control, [&] {
    if (control.rank() == 0) file.emplace(path, total, "score", "diffprob template scores");
  });
  for (int rank = 0; rank < control.world_size(); ++rank) {
    for (std::int64_t begin = 0; begin < counts[static_cast<std::size_t>(rank)];
         begin += kPairsAtOnce) {
      std::vector<ScoredPair> part;
      std::vector<std::int64_t> to(static_cast<std::size_t>(control.world_size()), 0);
      if (rank == control.rank()) part = part_of(protocol.pairs, scores, begin);
      to[0] = static_cast<std::int64_t>(part.size());
      part = control.all_to_all_v(std::span<const ScoredPair>(part), to);
      dist::together<data::DataError>(control, [&] {
        if (control.rank() == 0) append(*file, part, protocol.templates.ids);
      });
    }
  }
  dist::together<data::DataError>(control, [&] {
    if (control.rank() == 0) file->commit();
  });
}

}  // namespace diffprob::launch
