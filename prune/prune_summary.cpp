#include <algorithm>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include "prune/atomic_file.h"
#include "prune/error.h"
#include "prune/prune.h"

namespace diffprob::prune {
namespace {

using Json = nlohmann::ordered_json;

Json options_json(const PruneOptions& options) {
  Json json = {{"method", options.method}, {"clean", options.clean}};
  if (options.method == "diffprob") {
    json["preset"] = options.diffprob.preset == Preset::kReference ? "reference" : "default";
    json["min_kept"] = options.diffprob.min_kept;
    json["threshold"] = options.diffprob.threshold;
  }
  if (options.method == "random") {
    json["fraction"] = options.random.fraction;
    json["min_kept"] = options.random.min_kept;
    json["seed"] = options.random.seed;
    json["draw"] = options.random.draw == RandomOptions::Draw::kTail ? "tail" : "random";
  }
  return json;
}

Json reasons_json(const std::vector<Reason>& reasons) {
  std::map<Reason, std::int64_t> counts;
  for (const Reason reason : reasons) ++counts[reason];
  Json json = Json::object();
  for (const auto& [reason, count] : counts) json[reason_name(reason)] = count;
  return json;
}

Json search_json(const ThresholdSearch& search) {
  Json curve = Json::array();
  for (const auto& point : search.curve) curve.push_back({{"threshold", point.threshold}, {"kept", point.kept}});
  return {{"target", search.target}, {"threshold", search.threshold}, {"kept", search.kept}, {"curve", std::move(curve)}};
}

/// Most frequent label -> prediction pairs among the mislabelled; ties: smaller label, then smaller prediction.
Json confusions_json(const std::vector<Reason>& reasons, const ScoreTable& table) {
  constexpr std::size_t kListed = 100;
  std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> counts;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (reasons[i] == Reason::kMislabelled) ++counts[{table.labels[i], table.records[i].top1}];
  }
  std::vector<std::pair<std::pair<std::int32_t, std::int32_t>, std::int64_t>> ordered(counts.begin(), counts.end());
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  ordered.resize(std::min(ordered.size(), kListed));
  Json json = Json::array();
  for (const auto& [pair, count] : ordered) json.push_back({{"label", pair.first}, {"top1", pair.second}, {"samples", count}});
  return json;
}

/// Samples of each identity before and after: two arrays indexed by the old label.
Json identities_json(const std::vector<Reason>& reasons, const ScoreTable& table) {
  std::vector<std::int64_t> before(static_cast<std::size_t>(table.source.num_classes), 0);
  std::vector<std::int64_t> after(before.size(), 0);
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    const auto label = static_cast<std::size_t>(table.labels[i]);
    ++before[label];
    if (is_kept(reasons[i])) ++after[label];
  }
  return {{"before", std::move(before)}, {"after", std::move(after)}};
}

}  // namespace

void write_prune_summary(const std::string& path, const PruneResult& result, const ScoreTable& table) {
  const IndexSet& set = result.index_set;
  if (set.reasons.size() != table.records.size() || table.labels.size() != table.records.size()) {
    throw PruneError(path + ": a result of " + std::to_string(set.reasons.size()) + " samples does not belong to a table of " +
                     std::to_string(table.records.size()));
  }
  const auto samples = static_cast<double>(std::max<std::int64_t>(set.num_samples, 1));
  Json json;
  json["method"] = set.method;
  json["dataset_fingerprint"] = set.dataset_fingerprint;
  json["model_fingerprint"] = table.source.model_fingerprint;
  json["score_margin"] = table.source.margin;
  json["score_scale"] = table.source.scale;
  json["options"] = options_json(result.options);
  json["samples"] = set.num_samples;
  json["usable"] = result.usable;
  json["kept"] = set.kept.size();
  json["ratio_wanted"] = result.options.keep_ratio ? Json(*result.options.keep_ratio) : Json(nullptr);
  json["ratio_achieved"] = static_cast<double>(set.kept.size()) / samples;
  json["reasons"] = reasons_json(set.reasons);
  json["identities_before"] = result.identities_before;
  json["identities_after"] = result.identities_after;
  json["vanished"] = result.vanished;
  json["search"] = result.search ? search_json(*result.search) : Json(nullptr);
  json["confusions"] = confusions_json(set.reasons, table);
  json["per_identity"] = identities_json(set.reasons, table);
  write_text_file(path, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace diffprob::prune
