#include "launch/pipeline/planted_report.h"

#include <spdlog/fmt/fmt.h>

#include <fstream>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "data/files/text_lines.h"
#include "launch/pipeline/share.h"

namespace diffprob::launch {
namespace {

/// Column `kind` of planted.csv (index,label,true_label,kind,source), by index.
std::vector<std::string> read_kinds(const std::string& path, std::int64_t num_samples) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  std::vector<std::string> kinds(static_cast<std::size_t>(num_samples));
  std::string line;
  std::vector<std::string_view> cells;
  std::getline(file, line);  // header
  for (std::int64_t number = 2; std::getline(file, line); ++number) {
    data::split(line, ',', cells);
    std::int64_t index = -1;
    const bool whole = cells.size() >= 4 && data::parse_number(cells[0], index);
    if (!whole || index < 0 || index >= num_samples || cells[3].empty()) {
      throw std::runtime_error(fmt::format(
          "{}:{}: expected 'index,label,true_label,kind,source' with index below {}, found '{}'",
          path, number, num_samples, line));
    }
    kinds[static_cast<std::size_t>(index)] = cells[3];
  }
  return kinds;
}

}  // namespace

nlohmann::json judge_planted(const std::string& planted_csv, const prune::IndexSet& set) {
  const auto kinds = read_kinds(planted_csv, set.num_samples);
  std::int64_t flips = 0, cleaned = 0, cleaned_flips = 0, usable = 0, usable_copies = 0, pruned = 0,
               pruned_copies = 0;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const bool flip = kinds[i] == "flipped_label", copy = kinds[i] == "near_duplicate";
    const prune::Reason reason = set.reasons[i];
    flips += flip;
    if (reason == prune::Reason::kMislabelled) {
      ++cleaned;
      cleaned_flips += flip;
      continue;
    }
    ++usable;
    usable_copies += copy;
    if (reason == prune::Reason::kRedundant) {
      ++pruned;
      pruned_copies += copy;
    }
  }
  return {{"planted_flips", flips},
          {"cleaned", cleaned},
          {"cleaned_flips", cleaned_flips},
          {"precision", share(cleaned_flips, cleaned)},
          {"recall", share(cleaned_flips, flips)},
          {"pruned", pruned},
          {"pruned_near_duplicates", share(pruned_copies, pruned)},
          {"usable_near_duplicates", share(usable_copies, usable)}};
}

std::string planted_text(const nlohmann::json& r) {
  return fmt::format(
      "  planted flips: {} of {} found among {} removed by cleaning (recall {:.2f}, precision "
      "{:.2f})\n"
      "  planted near-duplicates: {:.1f} % of the {} pruned, {:.1f} % of all usable samples (the "
      "share that a random choice drops)\n",
      r.at("cleaned_flips").get<std::int64_t>(), r.at("planted_flips").get<std::int64_t>(),
      r.at("cleaned").get<std::int64_t>(), r.at("recall").get<double>(),
      r.at("precision").get<double>(), 100 * r.at("pruned_near_duplicates").get<double>(),
      r.at("pruned").get<std::int64_t>(), 100 * r.at("usable_near_duplicates").get<double>());
}

}  // namespace diffprob::launch
