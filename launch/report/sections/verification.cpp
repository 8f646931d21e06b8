// The part "Verification": ROC curves and histograms of similarity.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/page/plot.h"
#include "eval/page/table.h"
#include "launch/report/models.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

constexpr std::array<double, 4> kFars = {1e-1, 1e-2, 1e-3, 1e-4};
constexpr std::size_t kGenuineColour = 2, kImpostorColour = 1;

const StoredVerification* find_set(const std::vector<StoredVerification>& sets,
                                   const std::string& name) {
  const auto found =
      std::find_if(sets.begin(), sets.end(), [&](const auto& set) { return set.set == name; });
  return found == sets.end() ? nullptr : &*found;
}

/// What a row's training found on a set, or null.
const StoredVerification* stored(const ModelRow& row, const ReportTraining& training,
                                 const std::string& set) {
  if (!training.verification) return nullptr;
  return find_set(
      row.model == "untrained" ? training.verification->untrained : training.verification->trained,
      set);
}

double count(const std::array<std::int64_t, eval::VerificationCurves::kBins>& bins) {
  return static_cast<double>(std::accumulate(bins.begin(), bins.end(), std::int64_t{0}));
}

/// Highest true accept rate at a rate of at most `far`; NaN below one impostor.
double tar_at(const eval::VerificationCurves& curves, double far) {
  const auto above = std::upper_bound(curves.far.begin(), curves.far.end(), far * (1 + 1e-9));
  if (above == curves.far.begin()) return std::nan("");
  return curves.tar[static_cast<std::size_t>(above - curves.far.begin()) - 1];
}

eval::Plot roc_plot(const ReportRuns& runs, const ReportRun& run, const std::vector<ModelRow>& rows,
                    const std::string& set) {
  eval::Plot plot{
      "ROC: " + set + run_suffix(runs, run),
      "True accept rate against false accept rate on a logarithmic axis; higher is better.",
      {"false accept rate", true, {}, 1.0},
      {"true accept rate", false, 0.0, 1.0},
      {},
      {}};
  for (const auto& row : rows) {
    for (const auto* training : row.trainings) {
      const auto* found = stored(row, *training, set);
      if (found == nullptr || found->curves.far.empty()) continue;
      const bool first = training == row.trainings.front();
      if (first)
        plot.description +=
            fmt::format(" {}: {:.3f} at 0.01.", row.model, tar_at(found->curves, 0.01));
      plot.series.push_back({first ? row.model : "", found->curves.far, found->curves.tar,
                             eval::Series::Kind::kLine, row.colour, row.model == "untrained", false,
                             !first});
    }
  }
  return plot;
}

std::vector<double> coarser(const std::array<std::int64_t, eval::VerificationCurves::kBins>& bins,
                            std::size_t merged) {
  std::vector<double> sums(bins.size() / merged, 0);
  for (std::size_t i = 0; i < sums.size() * merged; ++i)
    sums[i / merged] += static_cast<double>(bins[i]);
  return sums;
}

eval::Plot histogram_plot(const std::string& title, const eval::VerificationCurves& curves) {
  eval::Plot plot{
      title,
      "Pairs of images by cosine similarity, in % of the genuine and of the impostor pairs.",
      {"cosine similarity", false, {}, {}},
      {"% of pairs", false, 0.0, {}},
      {},
      {}};
  const double pairs = count(curves.genuine) + count(curves.impostor);
  const std::size_t merged = pairs < 500    ? 4
                             : pairs < 3000 ? 2
                                            : 1;  // bins: few pairs in fine bins are all spikes
  const auto genuine = coarser(curves.genuine, merged), impostor = coarser(curves.impostor, merged);
  const auto add = [&](const char* name, const std::vector<double>& bins, std::size_t colour) {
    const double all = std::accumulate(bins.begin(), bins.end(), 0.0);
    if (all == 0) return;
    eval::Series series{name, {}, {}, eval::Series::Kind::kStep, colour, false, true, false};
    // Only the bins that hold pairs of either kind: similarities of a weak network crowd together.
    std::size_t first = bins.size(), last = 0;
    for (std::size_t i = 0; i < bins.size(); ++i) {
      if (genuine[i] + impostor[i] == 0) continue;
      first = std::min(first, i);
      last = i;
    }
    for (std::size_t i = first; i <= last + 1; ++i)
      series.x.push_back(-1 + 2 * static_cast<double>(i) / static_cast<double>(bins.size()));
    double weighted = 0;
    for (std::size_t i = first; i <= last; ++i) {
      series.y.push_back(100 * bins[i] / all);
      weighted += bins[i] * (series.x[i - first] + 1 / static_cast<double>(bins.size()));
    }
    plot.description +=
        fmt::format(" {:.0f} {} pairs, mean similarity {:.2f}.", all, name, weighted / all);
    plot.series.push_back(std::move(series));
  };
  add("genuine", genuine, kGenuineColour);
  add("impostor", impostor, kImpostorColour);
  return plot;
}

void add_rates(eval::Table& table, const std::string& run, const ModelRow& row,
               const std::string& set) {
  std::vector<double> auc, eer, norm;
  std::array<std::vector<double>, kFars.size()> tar;
  double impostors = 0;
  for (const auto* training : row.trainings) {
    const auto* found = stored(row, *training, set);
    if (found == nullptr) continue;
    impostors = count(found->curves.impostor);
    auc.push_back(found->auc);
    eer.push_back(found->eer);
    norm.push_back(found->feature_norm);
    for (std::size_t i = 0; i < kFars.size(); ++i)
      tar[i].push_back(tar_at(found->curves, kFars[i]));
  }
  if (auc.empty()) return;
  const auto shown = [](const std::vector<double>& values, double scale,
                        int digits) -> eval::TableCell {
    const eval::Estimate e = eval::estimate(values);
    if (!std::isfinite(e.mean)) return {"-", "", ""};
    return {fmt::format("{:.{}f}", scale * e.mean, digits),
            e.count > 1 ? fmt::format("\u00b1 {:.{}f}", scale * e.deviation, digits) : "", ""};
  };
  std::vector<eval::TableCell> cells = {
      {row.model, run, ""},
      {set, fmt::format("{:.0f} impostor pairs", impostors), "words"},
      shown(auc, 1, 4),
      shown(eer, 100, 2),
      shown(norm, 1, 3)};
  for (const auto& values : tar) cells.push_back(shown(values, 100, 2));
  table.rows.push_back(std::move(cells));
}

}  // namespace

void write_verification_plots(eval::HtmlWriter& html, const ReportRuns& runs) {
  write_heading(html, "verification", "Verification");
  std::vector<std::vector<ModelRow>> rows;
  std::vector<ModelRow> all;
  for (const auto& run : runs) {
    rows.push_back(model_rows(run));
    all.insert(all.end(), rows.back().begin(), rows.back().end());
  }
  eval::Table table{
      "Rates in %: equal error rate, and true accept rate (TAR) at false accept rates; deviation "
      "over seeds. Dashes: fewer than one impostor pair. XNorm: mean length of the embeddings.",
      {"model", "set", "AUC", "EER", "XNorm", "TAR at 0.1", "0.01", "0.001", "0.0001"},
      {}};
  html.open("div", {{"class", "plots"}});
  for (const auto& set : sets_of(all)) {
    for (std::size_t r = 0; r < runs.size(); ++r) {
      eval::Plot roc = roc_plot(runs, runs[r], rows[r], set);
      if (!roc.series.empty()) eval::write_plot(html, roc);
      for (const auto& row : rows[r]) {
        add_rates(table, runs.size() > 1 ? runs[r].name : "", row, set);
        const auto* found = stored(row, *row.trainings.front(), set);
        const bool shown = row.model == "original" || &row == pruned_model(rows[r]) ||
                           (row.model != "untrained" && rows[r].size() == 1);
        if (found == nullptr || !shown) continue;
        eval::write_plot(html, histogram_plot("Similarity: " + set + ", " + row.model +
                                                  run_suffix(runs, runs[r]),
                                              found->curves));
      }
    }
  }
  html.close("div");
  if (table.rows.empty()) {
    html.element("p",
                 "No distances of verification pairs: no training ended with a verification, or an "
                 "older version ran it.",
                 {{"class", "note"}});
  } else {
    eval::write_table(html, table);
  }
  write_ijb(html, runs);
}

}  // namespace diffprob::launch
