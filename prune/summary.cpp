#include "prune/summary.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "data/files/atomic_file.h"
#include "prune/error.h"
#include "prune/lists/kept_index_writer.h"
#include "prune/methods/methods.h"
#include "prune/methods/row.h"

namespace diffprob::prune {
namespace {

using Json = nlohmann::ordered_json;

Json options_json(const PruneOptions& options) {
  Json json = {{"method", method_name(options.method)}, {"clean", options.clean}};
  if (options.clean) {
    json["clean_rule"] = clean_rule_name(options.cleaning.rule);
    json["clean_margin"] = options.cleaning.margin;
    if (options.cleaning.precision > 0) json["clean_precision"] = options.cleaning.precision;
    if (options.cleaning.floor > 0) json["clean_floor"] = options.cleaning.floor;
  }
  if (options.match_ratio) json["match_ratio"] = true;
  row_of(options.method).describe(options, json);
  return json;
}

/// Reasons that do occur, in the order of their codes.
Json reasons_json(const PruneResult& result) {
  const std::pair<Reason, std::int64_t> counts[] = {
      {Reason::kKept, result.kept - result.kept_by_floor},
      {Reason::kRedundant, result.redundant},
      {Reason::kMislabelled, result.mislabelled},
      {Reason::kKeptByFloor, result.kept_by_floor}};
  Json json = Json::object();
  for (const auto& [reason, count] : counts) {
    if (count > 0) json[reason_name(reason)] = count;
  }
  return json;
}

Json noise_json(const PruneResult& result) {
  const NoiseRate& noise = *result.noise;
  return {{"rate", noise.rate},
          {"low_95", noise.low},
          {"high_95", noise.high},
          {"confident", noise.confident},
          {"confident_of_another_class", noise.other},
          {"verdict", verdict(noise, result.mislabelled, result.num_samples)}};
}

Json precision_json(const PrecisionChoice& choice) {
  return {{"wanted", choice.wanted},
          {"expected_wrong_labels", choice.wrong},
          {"shift", choice.shift},
          {"suspects", choice.suspects},
          {"margin", choice.reached ? Json(choice.margin) : Json(nullptr)},
          {"dropped", choice.dropped},
          {"expected_precision", choice.reached ? Json(choice.estimate) : Json(nullptr)},
          {"why", explanation(choice)}};
}

Json search_json(const ThresholdSearch& search) {
  Json curve = Json::array();
  for (const auto& point : search.curve)
    curve.push_back({{"threshold", point.threshold}, {"kept", point.kept}});
  return {{"target", search.target},
          {"threshold", search.threshold},
          {"kept", search.kept},
          {"curve", std::move(curve)}};
}

Json confusions_json(const std::vector<Confusion>& confusions) {
  Json json = Json::array();
  for (const auto& one : confusions)
    json.push_back({{"label", one.label}, {"top1", one.top1}, {"samples", one.samples}});
  return json;
}

Json group_json(const FairnessGroup& group) {
  return {{"identities", group.identities},
          {"samples", group.samples},
          {"usable", group.usable},
          {"kept", group.kept},
          {"share", group.share()}};
}

/// Groups with identities in them, the smallest first.
Json fairness_json(const Fairness& fairness, bool cleaned) {
  Json by_size = Json::array(), by_mislabelled = Json::array();
  for (std::size_t i = 0; i < fairness.by_size.size(); ++i) {
    if (fairness.by_size[i].identities == 0) continue;
    Json group = {{"from", Fairness::kSizes[i]}};
    if (i + 1 < fairness.by_size.size()) group["to"] = Fairness::kSizes[i + 1] - 1;
    group.update(group_json(fairness.by_size[i]));
    by_size.push_back(std::move(group));
  }
  for (std::size_t i = 0; cleaned && i < fairness.by_mislabelled.size(); ++i) {
    if (fairness.by_mislabelled[i].identities == 0) continue;
    Json group = i == 0 ? Json{{"mislabelled_percent", 0}}
                        : Json{{"mislabelled_percent_above", Fairness::kMislabelled[i]}};
    group.update(group_json(fairness.by_mislabelled[i]));
    by_mislabelled.push_back(std::move(group));
  }
  Json json = {{"by_size", std::move(by_size)}};
  if (cleaned) json["by_mislabelled"] = std::move(by_mislabelled);
  return json;
}

/// Numbers on one line: millions of identities would take a JSON library seconds.
template <class At>
std::string compact(std::int64_t count, const At& at) {
  std::string text = "[";
  for (std::int64_t i = 0; i < count; ++i) {
    if (i > 0) text += ",";
    append_number(text, at(i));
  }
  return text + "]";
}

Json head_json(const PruneResult& result) {
  Json json;
  json["method"] = full_name(result.options);
  json["dataset_fingerprint"] = result.source.dataset_fingerprint;
  json["model_fingerprint"] = result.source.model_fingerprint;
  json["score_margin"] = result.source.margin;
  json["score_scale"] = result.source.scale;
  json["options"] = options_json(result.options);
  json["samples"] = result.num_samples;
  json["usable"] = result.usable;
  json["kept"] = result.kept;
  json["ratio_wanted"] =
      result.options.keep_ratio ? Json(*result.options.keep_ratio) : Json(nullptr);
  json["ratio_achieved"] = static_cast<double>(result.kept) /
                           static_cast<double>(std::max<std::int64_t>(result.num_samples, 1));
  json["reasons"] = reasons_json(result);
  if (result.noise) json["noise"] = noise_json(result);
  if (result.precision) json["clean_precision"] = precision_json(*result.precision);
  if (result.clean_floor)
    json["clean_floor"] = {{"samples", result.clean_floor->samples},
                           {"identities", result.clean_floor->identities}};
  if (result.open_evidence) json["open_evidence"] = *result.open_evidence;
  json["identities_before"] = result.identities_before;
  json["identities_after"] = result.identities_after;
  json["identities_at_floor"] = result.identities_at_floor;
  json["search"] = result.search ? search_json(*result.search) : Json(nullptr);
  json["fairness"] = fairness_json(result.fairness, result.options.clean);
  json["confusions"] = confusions_json(result.confusions);
  return json;
}

}  // namespace

std::string describe(const PruneOptions& options) {
  Json json = options_json(options);
  json["keep_ratio"] = options.keep_ratio ? Json(*options.keep_ratio) : Json(nullptr);
  return json.dump();
}

void write_prune_summary(const std::string& path, const PruneResult& result,
                         std::span<const std::int32_t> kept) {
  const std::int64_t classes = result.counts.num_classes();
  if (static_cast<std::int64_t>(kept.size()) != classes) {
    throw PruneError(path + ": kept samples of " + std::to_string(kept.size()) +
                     " identities, expected " + std::to_string(classes));
  }
  std::string text = head_json(result).dump(1, ' ', false, Json::error_handler_t::replace);
  text.resize(text.rfind('}') - 1);  // the closing brace and the line end before it
  const auto vanished = static_cast<std::int64_t>(result.vanished.size());
  text += ",\n \"vanished\": " + compact(vanished, [&](std::int64_t i) {
            return result.vanished[static_cast<std::size_t>(i)];
          });
  text += ",\n \"per_identity\": {\n  \"before\": " +
          compact(classes, [&](std::int64_t c) { return result.counts.before(c); });
  text += ",\n  \"after\": " +
          compact(classes, [&](std::int64_t c) { return kept[static_cast<std::size_t>(c)]; }) +
          "\n }\n}\n";
  data::write_file_atomically(path, text);
}

}  // namespace diffprob::prune
