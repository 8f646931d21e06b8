#include "prune/tables/score_table.h"

#include <algorithm>
#include <utility>

#include "prune/error.h"

namespace diffprob::prune {

ScoreTableBuilder::ScoreTableBuilder(std::int64_t num_samples) {
  if (num_samples < 0 || num_samples > std::int64_t{1} << 32) {
    throw PruneError("scores: " + std::to_string(num_samples) + " samples, expected 0 to 2^32");
  }
  records_.resize(static_cast<std::size_t>(num_samples));
  seen_.resize(records_.size(), false);
}

void ScoreTableBuilder::add(std::span<const ScoreRecord> records, const std::string& from) {
  for (const ScoreRecord& record : records) {
    const auto index = static_cast<std::size_t>(record.index);
    if (index >= records_.size()) {
      throw PruneError("scores: " + from + " has sample " + std::to_string(index) +
                       ", expected 0 to " + std::to_string(records_.size() - 1));
    }
    if (seen_[index])
      throw PruneError("scores: sample " + std::to_string(index) +
                       " was scored twice, the second time in " + from);
    seen_[index] = true;
    records_[index] = record;
  }
}

std::vector<ScoreRecord> ScoreTableBuilder::take() {
  const auto holes = std::count(seen_.begin(), seen_.end(), false);
  if (holes > 0) {
    const auto first = std::find(seen_.begin(), seen_.end(), false) - seen_.begin();
    throw PruneError("scores: " + std::to_string(holes) + " of " + std::to_string(seen_.size()) +
                     " samples were not scored; the first is sample " + std::to_string(first));
  }
  return std::exchange(records_, {});
}

}  // namespace diffprob::prune
