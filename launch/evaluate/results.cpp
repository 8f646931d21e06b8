#include "launch/evaluate/results.h"

#include <spdlog/fmt/fmt.h>
#include <algorithm>
#include <cmath>

namespace diffprob::launch {
namespace {

nlohmann::json tar_rows(const std::vector<eval::TarAtFar>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& row : rows) {
    list.push_back({{"far", row.far_target},
                    {"tar", row.tar},
                    {"tar_interpolated", row.tar_interpolated},
                    {"tar_nearest", row.tar_nearest},
                    {"far_nearest", row.far_nearest},
                    {"threshold", std::isfinite(row.threshold) ? nlohmann::json(row.threshold)
                                                               : nlohmann::json()},
                    {"meaningful", row.meaningful}});
  }
  return list;
}

nlohmann::json val_rows(const std::vector<eval::ValRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& row : rows)
    list.push_back({{"far", row.far_target},
                    {"val", row.val.val_mean},
                    {"val_std", row.val.val_std},
                    {"far_measured", row.val.far_mean}});
  return list;
}

nlohmann::json identification_rows(const std::vector<eval::IdentificationResult>& results) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& r : results) {
    nlohmann::json tpir = nlohmann::json::array();
    for (const auto& row : r.tpir)
      tpir.push_back(
          {{"fpir", row.fpir_target}, {"open_set", row.open_set}, {"closed_set", row.closed_set}});
    list.push_back({{"gallery", r.gallery},
                    {"gallery_templates", r.gallery_templates},
                    {"mated_probes", r.mated_probes},
                    {"other_probes", r.other_probes},
                    {"rank1", r.rank1},
                    {"rank5", r.rank5},
                    {"rank10", r.rank10},
                    {"tpir", tpir}});
  }
  return list;
}

std::string far_name(double far) {
  return fmt::format("{:.0e}", far);
}

std::string percent(double share, bool meaningful = true) {
  if (std::isnan(share)) return "-";
  return meaningful ? fmt::format("{:.2f}", 100 * share) : fmt::format("({:.2f})", 100 * share);
}

std::string norm_text(double norm) {
  return std::isfinite(norm) ? fmt::format("{:.4f}", norm) : "-";
}

nlohmann::json curve_json(const std::vector<eval::RocPoint>& curve) {
  nlohmann::json far = nlohmann::json::array(), tar = far, threshold = far;
  for (const auto& point : curve) {
    far.push_back(point.far);
    tar.push_back(point.tar);
    threshold.push_back(std::isfinite(point.threshold) ? nlohmann::json(point.threshold)
                                                       : nlohmann::json());
  }
  return {{"far", far}, {"tar", tar}, {"threshold", threshold}};
}

using Lines = std::vector<std::vector<std::string>>;

/// The first line is the heading; the first column stands left, the others right.
std::string columns(const Lines& lines) {
  std::vector<std::size_t> widths;
  for (const auto& line : lines) {
    widths.resize(std::max(widths.size(), line.size()), 0);
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i)
      text += i == 0 ? fmt::format("  {:<{}}", line[i], widths[i])
                     : fmt::format("  {:>{}}", line[i], widths[i]);
    text += "\n";
  }
  return text;
}

std::vector<std::string> far_headings(std::vector<std::string> first, const std::string& prefix,
                                      const std::vector<eval::TarAtFar>& rows) {
  for (const auto& row : rows) first.push_back(prefix + far_name(row.far_target));
  return first;
}

std::string identification_table(const std::vector<eval::IdentificationResult>& results) {
  Lines lines = {{"1:N gallery", "templates", "mated", "others", "rank-1", "rank-5"}};
  for (const auto& row : results.front().tpir)
    lines[0].push_back(fmt::format("TPIR@FPIR {} open", row.fpir_target));
  for (const auto& row : results.front().tpir)
    lines[0].push_back(fmt::format("{} closed", row.fpir_target));
  for (const auto& r : results) {
    lines.push_back({r.gallery, std::to_string(r.gallery_templates), std::to_string(r.mated_probes),
                     std::to_string(r.other_probes), percent(r.rank1), percent(r.rank5)});
    for (const auto& row : r.tpir) lines.back().push_back(percent(row.open_set));
    for (const auto& row : r.tpir) lines.back().push_back(percent(row.closed_set));
  }
  return columns(lines);
}

}  // namespace

nlohmann::json reports_to_json(const std::vector<eval::SetReport>& reports) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& r : reports) {
    list.push_back({{"set", r.name},
                    {"pairs", r.pairs},
                    {"genuine", r.genuine},
                    {"impostors", r.impostors},
                    {"accuracy", r.verification.accuracy_mean},
                    {"accuracy_std", r.verification.accuracy_std},
                    {"fold_accuracy", r.verification.fold_accuracy},
                    {"fold_threshold", r.verification.fold_threshold},
                    {"best_threshold", r.verification.best_threshold},
                    {"best_accuracy", r.verification.best_accuracy},
                    {"auc", r.auc},
                    {"eer", r.eer},
                    {"xnorm", r.feature_norm},
                    {"val_at_far", val_rows(r.val)},
                    {"tar_at_far", tar_rows(r.tar)}});
  }
  return list;
}

nlohmann::json ijb_to_json(const std::string& folder, const eval::IjbResult& result) {
  nlohmann::json variants = nlohmann::json::array();
  for (const auto& v : result.variants) {
    variants.push_back({{"variant", v.variant.name()},
                        {"genuine", v.genuine},
                        {"impostors", v.impostors},
                        {"auc", v.auc},
                        {"eer", v.eer},
                        {"tar_at_far", tar_rows(v.tar)},
                        {"roc", curve_json(v.curve)},
                        {"identification", identification_rows(v.identification)}});
  }
  return {{"protocol", result.name},       {"folder", folder},
          {"images", result.images},       {"missing_images", result.missing_images.size()},
          {"templates", result.templates}, {"empty_templates", result.empty_templates},
          {"pairs", result.pairs},         {"variants", variants}};
}

std::string verification_table(const std::vector<eval::SetReport>& reports) {
  if (reports.empty()) return "";
  const std::vector<std::string> first = {"set", "pairs", "accuracy", "+-",       "threshold",
                                          "AUC", "EER",   "XNorm",    "VAL@1e-3", "impostors"};
  Lines lines = {far_headings(first, "TAR@", reports.front().tar)};
  for (const auto& r : reports) {
    lines.push_back({r.name, std::to_string(r.pairs), percent(r.verification.accuracy_mean),
                     percent(r.verification.accuracy_std),
                     fmt::format("{:.2f}", r.verification.best_threshold), percent(r.auc),
                     percent(r.eer), norm_text(r.feature_norm), percent(r.val.front().val.val_mean),
                     std::to_string(r.impostors)});
    for (const auto& row : r.tar) lines.back().push_back(percent(row.tar, row.meaningful));
  }
  return columns(lines) +
         "  in %, but XNorm is the mean length of embeddings; (x): allows fewer than one "
         "impostor,\n"
         "  so x says little\n";
}

std::string ijb_table(const eval::IjbResult& result) {
  std::string text =
      fmt::format("{}: {} images ({} missing or bad), {} templates ({} empty), {} pairs\n",
                  result.name, result.images, result.missing_images.size(), result.templates,
                  result.empty_templates, result.pairs);
  Lines lines = {far_headings({"1:1, TAR in % at FAR"}, "", result.variants.front().tar)};
  for (const auto& v : result.variants) {
    lines.push_back({v.variant.name() + " nearest FAR (reference)"});
    for (const auto& row : v.tar) lines.back().push_back(percent(row.tar_nearest, row.meaningful));
    lines.push_back({v.variant.name() + " FAR not above"});
    for (const auto& row : v.tar) lines.back().push_back(percent(row.tar, row.meaningful));
    lines.push_back({v.variant.name() + " interpolated"});
    for (const auto& row : v.tar)
      lines.back().push_back(percent(row.tar_interpolated, row.meaningful));
  }
  text += columns(lines);
  for (const auto& v : result.variants) {
    text += fmt::format("  {}: {} genuine, {} impostor pairs, AUC {} %, EER {} %\n",
                        v.variant.name(), v.genuine, v.impostors, percent(v.auc), percent(v.eer));
    if (!v.identification.empty()) text += identification_table(v.identification);
  }
  return text;
}

}  // namespace diffprob::launch
