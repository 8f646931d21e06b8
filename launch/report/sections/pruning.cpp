// The part "Cleaning and pruning".
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/page/axis.h"
#include "eval/page/plot.h"
#include "eval/page/table.h"
#include "launch/report/json.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kAllColour = 0, kKeptColour = 2, kPrunedColour = 4, kCleanedColour = 1;
constexpr std::size_t kMostRanks = 300, kMostConfusions = 15;
using Bins = ScoreDistribution::Bins;

std::size_t at(SampleOutcome outcome) {
  return static_cast<std::size_t>(outcome);
}

std::string share_text(double part, double whole) {
  return fmt::format("{:.0f} ({:.1f} %)", part, 100 * part / whole);
}

void write_outcomes(eval::HtmlWriter& html, const ReportRuns& runs, const ReportRun& run) {
  const auto& summary = run.prunings.front().summary;
  const double samples = number_at(summary, "samples"), usable = number_at(summary, "usable"),
               kept = number_at(summary, "kept");
  if (!(samples > 0)) return;
  eval::write_bar(
      html, "What happened to the images" + run_suffix(runs, run),
      {{"kept", kept, kKeptColour, share_text(kept, samples)},
       {"pruned as redundant", usable - kept, kPrunedColour, share_text(usable - kept, samples)},
       {"removed as mislabelled", samples - usable, kCleanedColour,
        share_text(samples - usable, samples)}});
}

/// Where the curve moves, with a point of the flat parts on each side.
std::pair<std::size_t, std::size_t> moving_part(const std::vector<double>& kept) {
  const auto [low, high] = std::minmax_element(kept.begin(), kept.end());
  const double margin = (*high - *low) / 500;
  std::size_t first = 0, last = kept.size() - 1;
  while (first + 1 < kept.size() && kept[first + 1] >= *high - margin) ++first;
  while (last > first + 1 && kept[last - 1] <= *low + margin) --last;
  return {first, last};
}

eval::Plot threshold_plot(const ReportRuns& runs, const ReportRun& run) {
  const auto& summary = run.prunings.front().summary;
  const auto& search = value_at(summary, "search");
  const double samples = number_at(summary, "samples");
  eval::Plot plot{
      "Kept share by threshold" + run_suffix(runs, run), "", {"threshold", true, {}, {}},
      {"kept, % of all images", false, 0.0, 100.0},      {}, {}};
  const auto& curve = value_at(search, "curve");
  if (!curve.is_array() || !(samples > 0)) return plot;
  std::vector<double> thresholds, kept;
  for (const auto& point : curve) {
    const double t = number_at(point, "threshold"), k = number_at(point, "kept");
    if (!(t > 0) || !std::isfinite(k)) continue;
    thresholds.push_back(t);
    kept.push_back(100 * k / samples);
  }
  if (kept.empty()) return plot;
  const auto [first, last] = moving_part(kept);
  eval::Series series{"thresholds that the search tried",
                      {},
                      {},
                      eval::Series::Kind::kLine,
                      kAllColour,
                      false,
                      false,
                      false};
  series.x.assign(thresholds.begin() + static_cast<std::ptrdiff_t>(first),
                  thresholds.begin() + static_cast<std::ptrdiff_t>(last) + 1);
  series.y.assign(kept.begin() + static_cast<std::ptrdiff_t>(first),
                  kept.begin() + static_cast<std::ptrdiff_t>(last) + 1);
  plot.series.push_back(std::move(series));
  const double chosen = number_at(search, "threshold"),
               result = 100 * number_at(search, "kept") / samples;
  plot.markers = {{eval::Marker::Of::kX, chosen, "t = " + eval::short_number(chosen)},
                  {eval::Marker::Of::kY, result, fmt::format("{:.1f} %", result)}};
  plot.description = fmt::format(
      "Share of images kept for each threshold that the search tried; {} keeps {:.2f} %.",
      eval::short_number(chosen), result);
  return plot;
}

/// All images, those left by cleaning, those kept.
eval::Plot distribution_plot(const std::string& title, const Bins& bins, std::vector<double> edges,
                             const eval::Axis& x, bool log_y) {
  eval::Plot plot{title, "Images in each range: all, after cleaning, and kept.",
                  x,     {"images", log_y, {}, {}},
                  {},    {}};
  const auto add = [&](const char* name, std::size_t colour,
                       std::initializer_list<SampleOutcome> outcomes) {
    eval::Series series{name,
                        edges,
                        std::vector<double>(ScoreDistribution::kBins, 0),
                        eval::Series::Kind::kStep,
                        colour,
                        false,
                        false,
                        false};
    for (const SampleOutcome outcome : outcomes) {
      for (std::size_t i = 0; i < series.y.size(); ++i) series.y[i] += bins[at(outcome)][i];
    }
    plot.description +=
        fmt::format(" {}: {:.0f}.", name, std::accumulate(series.y.begin(), series.y.end(), 0.0));
    series.filled = colour == kKeptColour;
    plot.series.push_back(std::move(series));
  };
  add("before", kAllColour,
      {SampleOutcome::kKept, SampleOutcome::kPruned, SampleOutcome::kCleaned});
  add("after cleaning", kPrunedColour, {SampleOutcome::kKept, SampleOutcome::kPruned});
  add("after pruning", kKeptColour, {SampleOutcome::kKept});
  if (!log_y) plot.y.low = 0;
  return plot;
}

/// Ends of the bins at equal steps from 0 to 1 of the argument.
template <class Value>
std::vector<double> bin_edges(const Value& value_at_share) {
  std::vector<double> edges;
  for (std::size_t i = 0; i <= ScoreDistribution::kBins; ++i) {
    edges.push_back(
        value_at_share(static_cast<double>(i) / static_cast<double>(ScoreDistribution::kBins)));
  }
  return edges;
}

eval::Plot probability_plot(const ReportRuns& runs, const ReportRun& run) {
  if (!run.scored) return {};
  return distribution_plot("Probability of the label" + run_suffix(runs, run),
                           run.scored->overview.distribution.probability,
                           bin_edges([](double share) { return share; }),
                           {"probability p", false, 0.0, 1.0}, true);
}

eval::Plot nll_plot(const ReportRuns& runs, const ReportRun& run) {
  if (!run.scored) return {};
  constexpr double kLow = ScoreDistribution::kLowestNll, kHigh = ScoreDistribution::kHighestNll;
  return distribution_plot(
      "The same as \u2212log p: resolves probabilities close to 1" + run_suffix(runs, run),
      run.scored->overview.distribution.nll,
      bin_edges([](double share) { return kLow * std::pow(kHigh / kLow, share); }),
      {"\u2212log p", true, {}, {}}, false);
}

/// Samples of the identities, falling, at evenly spaced ranks.
eval::Series ranked(const char* name, std::vector<double> samples, std::size_t colour) {
  std::sort(samples.rbegin(), samples.rend());
  eval::Series series{name, {}, {}, eval::Series::Kind::kLine, colour, false, false, false};
  const std::size_t points = std::min(kMostRanks, samples.size());
  for (std::size_t i = 0; i < points; ++i) {
    const std::size_t rank = points < 2 ? 0 : i * (samples.size() - 1) / (points - 1);
    series.x.push_back(static_cast<double>(rank + 1));
    series.y.push_back(samples[rank]);
  }
  return series;
}

eval::Plot identity_plot(const ReportRuns& runs, const ReportRun& run) {
  const auto& lists = value_at(run.prunings.front().summary, "per_identity");
  eval::Plot plot{"Images per identity" + run_suffix(runs, run),
                  "Number of images of each identity, in descending order, before and after "
                  "cleaning and pruning.",
                  {"identities, by number of images", false, {}, {}},
                  {"images", true, {}, {}},
                  {},
                  {}};
  for (const auto& [key, name, colour] :
       {std::tuple{"before", "before", kAllColour},
        std::tuple{"after", "after cleaning and pruning", kKeptColour}}) {
    auto samples = numbers_at(lists, key);
    std::erase_if(samples, [](double n) {
      return !(n > 0);
    });  // identities without any are not in the set, or vanished
    if (samples.empty()) continue;
    auto series = ranked(name, std::move(samples), colour);
    plot.description +=
        fmt::format(" {}: maximum {:.0f}, median {:.0f}, minimum {:.0f}.", name, series.y.front(),
                    series.y[series.y.size() / 2], series.y.back());
    plot.series.push_back(std::move(series));
  }
  return plot;
}

void add_pruning(eval::Table& table, const std::string& run, const ReportPruning& pruning) {
  const auto& summary = pruning.summary;
  const auto& options = value_at(summary, "options");
  const double samples = number_at(summary, "samples");
  const auto whole = [&](const char* key) -> eval::TableCell {
    const double value = number_at(summary, key);
    return {std::isfinite(value) ? fmt::format("{:.0f}", value) : "-", "", ""};
  };
  const double threshold = number_at(options, "threshold"),
               wanted = number_at(summary, "ratio_wanted"),
               reached = number_at(summary, "ratio_achieved");
  table.rows.push_back(
      {{pruning.stage, run, ""},
       {text_at(summary, "method", "?"), "", "words"},
       {std::isfinite(samples) ? fmt::format("{:.0f}", samples) : "-", "", ""},
       {std::isfinite(samples) ? fmt::format("{:.0f}", samples - number_at(summary, "usable"))
                               : "-",
        "", ""},
       whole("kept"),
       {std::isfinite(reached) ? fmt::format("{:.2f} %", 100 * reached) : "-",
        std::isfinite(wanted) ? fmt::format("{:.2f} % wanted", 100 * wanted) : "", ""},
       whole("identities_before"),
       whole("identities_after"),
       whole("identities_at_floor"),
       {std::isfinite(threshold) ? eval::short_number(threshold) : "-", "", ""}});
}

void write_confusions(eval::HtmlWriter& html, const ReportRuns& runs, const ReportRun& run) {
  const auto& confusions = value_at(run.prunings.front().summary, "confusions");
  if (!confusions.is_array() || confusions.empty()) return;
  eval::Table table{"Images removed by cleaning, by their label and the class that they look like",
                    {"label", "looks like", "images"},
                    {}};
  for (const auto& one : confusions) {
    if (table.rows.size() == kMostConfusions) break;
    table.rows.push_back({{fmt::format("{:.0f}", number_at(one, "label")), "", ""},
                          {fmt::format("{:.0f}", number_at(one, "top1")), "", ""},
                          {fmt::format("{:.0f}", number_at(one, "samples")), "", ""}});
  }
  html.open("details").element("summary", "Most frequent confusions" + run_suffix(runs, run));
  eval::write_table(html, table);
  html.close("details");
}

}  // namespace

void write_pruning(eval::HtmlWriter& html, const ReportRuns& runs) {
  write_heading(html, "pruning", "Cleaning and pruning");
  eval::Table table{"Prunings",
                    {"stage", "method", "images", "removed by cleaning", "kept", "kept share",
                     "identities", "after", "at the floor", "threshold"},
                    {}};
  for (const auto& run : runs) {
    for (const auto& pruning : run.prunings)
      add_pruning(table, runs.size() > 1 ? run.name : "", pruning);
  }
  if (table.rows.empty()) {
    html.element("p", "No pruning in this run.", {{"class", "note"}});
    return;
  }
  for (const auto& run : runs) {
    if (!run.prunings.empty()) write_outcomes(html, runs, run);
  }
  html.open("div", {{"class", "plots"}});
  for (const auto& plot_of : {threshold_plot, identity_plot, probability_plot, nll_plot}) {
    for (const auto& run : runs) {
      if (run.prunings.empty()) continue;
      const eval::Plot plot = plot_of(runs, run);
      if (!plot.series.empty()) eval::write_plot(html, plot);
    }
  }
  html.close("div");
  const bool all_scored =
      std::all_of(runs.begin(), runs.end(), [](const auto& run) { return run.scored.has_value(); });
  if (!all_scored)
    html.element("p", "Without scores there is no distribution of probabilities.",
                 {{"class", "note"}});
  eval::write_table(html, table);
  write_fairness(html, runs);
  for (const auto& run : runs) {
    if (!run.prunings.empty()) write_confusions(html, runs, run);
  }
}

}  // namespace diffprob::launch
