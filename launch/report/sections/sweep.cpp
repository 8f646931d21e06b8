// The part "Sweep": methods against kept ratios, as sweep.json has them.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "eval/metrics/confidence.h"
#include "eval/page/plot.h"
#include "eval/page/table.h"
#include "launch/report/json.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

constexpr double kMostBar = 1.5;     // bars widen the axis by at most so many spreads of the means
constexpr double kApart = 0.012;     // of the width, between methods at the same ratio
constexpr double kLabelRoom = 0.15;  // of the spread of the means, for the text above a marker
constexpr double kLeastRoom = 0.2;   // percentage points above and below

/// A method at a ratio.
struct Cell {
  std::string method;
  double ratio = 0;
  const nlohmann::json* json = nullptr;
};

struct Sweep {
  std::vector<std::string> sets;
  std::vector<Cell> cells;
  std::vector<std::string> methods;  ///< without the original, in the order of the cells
};

Sweep sweep_of(const ReportRun& run) {
  Sweep sweep;
  const auto& sets = value_at(run.sweep, "sets");
  if (sets.is_array()) {
    for (const auto& set : sets)
      if (set.is_string()) sweep.sets.push_back(set.get<std::string>());
  }
  const auto& cells = value_at(run.sweep, "cells");
  if (!cells.is_array()) return sweep;
  for (const auto& json : cells) {
    Cell cell{text_at(json, "method"), number_at(json, "ratio"), &json};
    if (cell.method.empty() || !std::isfinite(cell.ratio)) continue;
    if (cell.method != "original" &&
        std::ranges::find(sweep.methods, cell.method) == sweep.methods.end())
      sweep.methods.push_back(cell.method);
    sweep.cells.push_back(std::move(cell));
  }
  return sweep;
}

/// Accuracy of each training of the cell on `set`, 0..1.
std::vector<double> accuracies(const Cell& cell, const std::string& set) {
  std::vector<double> values;
  const auto& runs = value_at(*cell.json, "runs");
  if (!runs.is_array()) return values;
  for (const auto& run : runs) {
    const double value = number_at(value_at(run, "accuracy"), set.c_str());
    if (std::isfinite(value)) values.push_back(value);
  }
  return values;
}

std::optional<eval::Interval> accuracy_of(const Cell& cell, const std::string& set) {
  const auto values = accuracies(cell, set);
  if (values.empty()) return std::nullopt;
  return eval::mean_interval(values);
}

const Cell* random_at(const Sweep& sweep, double ratio) {
  const auto found = std::ranges::find_if(sweep.cells, [&](const Cell& cell) {
    return cell.method == "random" && cell.ratio == ratio;
  });
  return found == sweep.cells.end() ? nullptr : &*found;
}

/// Welch's interval of the difference to random at the same ratio.
std::optional<eval::Interval> beyond_random(const Sweep& sweep, const Cell& cell,
                                            const std::string& set) {
  const Cell* random = random_at(sweep, cell.ratio);
  if (random == nullptr || cell.method == "random" || cell.method == "original")
    return std::nullopt;
  const auto own = accuracies(cell, set), others = accuracies(*random, set);
  if (own.empty() || others.empty()) return std::nullopt;
  return eval::independent_difference(own, others);
}

std::string interval_text(const std::optional<eval::Interval>& interval, bool with_sign) {
  if (!interval || !std::isfinite(interval->mean)) return "-";
  std::string text =
      fmt::format(fmt::runtime(with_sign ? "{:+.2f}" : "{:.2f}"), 100 * interval->mean);
  if (interval->half_width && std::isfinite(*interval->half_width))
    text += fmt::format(" \u00b1 {:.2f}", 100 * *interval->half_width);
  return text;
}

eval::TableCell accuracy_cell(const Sweep& sweep, const Cell& cell, const std::string& set) {
  const auto difference = beyond_random(sweep, cell, set);
  eval::TableCell text{interval_text(accuracy_of(cell, set), false), "", ""};
  if (!difference) return text;
  text.small = interval_text(difference, true) + " to random";
  if (difference->is_clear()) text.style = difference->mean > 0 ? "good" : "bad";
  return text;
}

void write_cells(eval::HtmlWriter& html, const Sweep& sweep, const std::string& suffix) {
  eval::Table table{
      "Accuracy in %: mean over the seeds and half its 95 % interval; below, the "
      "difference to random at the same ratio in points" +
          suffix,
      {"method", "kept", "images", "identities"},
      {}};
  table.head.insert(table.head.end(), sweep.sets.begin(), sweep.sets.end());
  for (const Cell& cell : sweep.cells) {
    const double images = number_at(*cell.json, "images"),
                 identities = number_at(*cell.json, "identities");
    std::vector<eval::TableCell> row = {
        {cell.method, "", "words"},
        {fmt::format("{:g} %", 100 * cell.ratio), "", ""},
        {std::isfinite(images) ? fmt::format("{:.0f}", images) : "-", "", ""},
        {std::isfinite(identities) ? fmt::format("{:.0f}", identities) : "-", "", ""}};
    for (const auto& set : sweep.sets) row.push_back(accuracy_cell(sweep, cell, set));
    table.rows.push_back(std::move(row));
  }
  eval::write_table(html, table);
}

using Value = std::optional<eval::Interval> (*)(const Sweep&, const Cell&, const std::string&);

/// A method's line: dots at its ratios, bars of the intervals.
eval::Series series_of(const Sweep& sweep, std::size_t method, const std::string& set,
                       Value value) {
  eval::Series series;
  series.name = sweep.methods[method];
  series.colour = method;
  series.dots = true;
  std::vector<std::pair<double, eval::Interval>> points;
  for (const Cell& cell : sweep.cells) {
    if (cell.method != sweep.methods[method]) continue;
    const auto interval = value(sweep, cell, set);
    if (interval && std::isfinite(interval->mean)) points.emplace_back(cell.ratio, *interval);
  }
  std::ranges::sort(points, {}, [](const auto& point) { return point.first; });
  for (const auto& [ratio, interval] : points) {
    const double half = interval.half_width.value_or(std::nan(""));
    series.x.push_back(100 * ratio);
    series.y.push_back(100 * interval.mean);
    series.bar_low.push_back(100 * (interval.mean - half));
    series.bar_high.push_back(100 * (interval.mean + half));
  }
  return series;
}

std::string spoken_points(const eval::Series& series) {
  std::string text = " " + series.name + ":";
  for (std::size_t i = 0; i < series.x.size(); ++i)
    text += fmt::format(" {:.2f} at {:g} %{}", series.y[i], series.x[i],
                        i + 1 == series.x.size() ? "." : ",");
  return text;
}

/// Methods at the same ratio beside each other, so that their bars can be told apart.
void move_apart(eval::Plot& plot) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const auto& series : plot.series) {
    for (const double x : series.x) {
      low = std::min(low, x);
      high = std::max(high, x);
    }
  }
  if (low > high) return;
  const double width = high > low ? high - low : std::max(high, 1.0);
  const double middle = (static_cast<double>(plot.series.size()) - 1) / 2;
  for (std::size_t i = 0; i < plot.series.size(); ++i)
    for (double& x : plot.series[i].x) x += kApart * width * (static_cast<double>(i) - middle);
  plot.x.low = low - 0.06 * width;
  plot.x.high = high + 0.06 * width;
}

/// Room for all means and markers; a wide interval of few seeds is cut rather than that it presses
/// the lines flat.
void choose_height(eval::Plot& plot) {
  std::vector<double> means, ends;
  for (const auto& marker : plot.markers) means.push_back(marker.at);
  for (const auto& series : plot.series) {
    means.insert(means.end(), series.y.begin(), series.y.end());
    ends.insert(ends.end(), series.bar_low.begin(), series.bar_low.end());
    ends.insert(ends.end(), series.bar_high.begin(), series.bar_high.end());
  }
  if (means.empty()) return;
  const auto [low, high] = std::ranges::minmax(means);
  const double most = std::max(kMostBar * (high - low), 1.0);
  double below = kLeastRoom, above = std::max(kLeastRoom, kLabelRoom * (high - low));
  for (const double end : ends) {
    if (!std::isfinite(end)) continue;
    below = std::max(below, std::min(low - end, most));
    above = std::max(above, std::min(end - high, most));
  }
  plot.y.low = low - below;
  plot.y.high = high + above;
}

eval::Plot plot_of(const Sweep& sweep, const std::string& title, const std::string& axis,
                   const std::string& set, Value value) {
  eval::Plot plot{title,
                  title + " against the share of images kept.",
                  {"images kept, %", false, {}, {}},
                  {axis, false, {}, {}},
                  {},
                  {}};
  for (std::size_t method = 0; method < sweep.methods.size(); ++method) {
    eval::Series series = series_of(sweep, method, set, value);
    if (series.x.empty()) continue;
    plot.description += spoken_points(series);
    plot.series.push_back(std::move(series));
  }
  move_apart(plot);
  return plot;
}

void write_plots_of(eval::HtmlWriter& html, const Sweep& sweep, const std::string& set,
                    const std::string& suffix) {
  eval::Plot accuracy = plot_of(
      sweep, set + ": accuracy" + suffix, "%", set,
      [](const Sweep&, const Cell& cell, const std::string& of) { return accuracy_of(cell, of); });
  for (const Cell& cell : sweep.cells) {
    const auto original = accuracy_of(cell, set);
    if (cell.method == "original" && original)
      accuracy.markers.push_back({eval::Marker::Of::kY, 100 * original->mean, "all images"});
  }
  choose_height(accuracy);
  if (!accuracy.series.empty()) eval::write_plot(html, accuracy);
  eval::Plot difference =
      plot_of(sweep, set + ": difference to random" + suffix, "points", set, beyond_random);
  if (difference.series.empty()) return;
  difference.markers.push_back({eval::Marker::Of::kY, 0, ""});
  choose_height(difference);
  eval::write_plot(html, difference);
}

}  // namespace

void write_sweep(eval::HtmlWriter& html, const ReportRuns& runs) {
  if (std::ranges::all_of(runs, [](const auto& run) { return run.sweep.is_null(); })) return;
  write_heading(html, "sweep", "Sweep");
  for (const auto& run : runs) {
    if (run.sweep.is_null()) continue;
    const Sweep sweep = sweep_of(run);
    const std::string suffix = run_suffix(runs, run);
    if (sweep.cells.empty()) {
      html.element("p", "sweep.json of " + run.name + " has no cells.", {{"class", "note"}});
      continue;
    }
    write_cells(html, sweep, suffix);
    html.element("p",
                 "Bars are 95 % intervals: Student's over the seeds, and Welch's of the difference "
                 "to random. Without bars there was a single seed. A bar without a cap goes on "
                 "outside the plot. Methods at the same ratio stand beside each other.",
                 {{"class", "note"}});
    html.open("div", {{"class", "plots"}});
    for (const auto& set : sweep.sets) write_plots_of(html, sweep, set, suffix);
    html.close("div");
  }
}

}  // namespace diffprob::launch
