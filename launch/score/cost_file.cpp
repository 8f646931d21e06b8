#include "launch/score/cost_file.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "launch/observe/json_file.h"
#include "launch/observe/json_member.h"

namespace diffprob::launch {

ScoringCost ScoringCostFile::read() const {
  try {
    const nlohmann::json found = read_json(path_);
    const ScoringCost cost{json_member<double>(found, "seconds"),
                           json_member<std::int64_t>(found, "images")};
    if (std::isfinite(cost.seconds) && cost.seconds >= 0 && cost.images >= 0) return cost;
  } catch (const std::exception&) {
  }
  return {};
}

void ScoringCostFile::write(const ScoringCost& cost) const {
  write_json(path_, {{"seconds", cost.seconds}, {"images", cost.images}});
}

void ScoringCostFile::remove() const {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace diffprob::launch
