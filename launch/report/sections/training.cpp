// The parts "Training" (curves) and "Time and memory".
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "eval/page/plot.h"
#include "eval/page/table.h"
#include "launch/config/config.h"
#include "launch/observe/progress.h"
#include "launch/report/json.h"
#include "launch/report/models.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kMostPoints = 300;  // of a curve
constexpr std::array<const char*, TrainingCurves::kPhases> kPhaseNames = {
    "data wait", "forward", "head", "backward", "communication", "optimizer", "captured step"};

struct Quantity {
  const char* title;
  const char* axis;
  const char* description;
  double scale;
  bool from_zero;
  double least_high;  ///< of the axis: small shares shall look small
  std::vector<double> TrainingCurves::*values;
};
constexpr std::array<Quantity, 5> kQuantities = {{
    {"Loss", "loss", "Mean training loss over the updates.", 1, false, 0, &TrainingCurves::loss},
    {"Training accuracy", "%",
     "Share of training samples whose most probable class is their label.", 100, true, 0,
     &TrainingCurves::accuracy},
    {"Learning rate", "learning rate", "Learning rate over the updates.", 1, true, 0,
     &TrainingCurves::learning_rate},
    {"Images per second", "images/s", "Training speed of all ranks together.", 1, true, 0,
     &TrainingCurves::images_per_second},
    {"Waiting for data", "% of the time", "Share of the time in which training waited for images.",
     100, true, 10, &TrainingCurves::data_wait},
}};

/// Ends of a curve in words, for those who cannot see it.
std::string spoken_ends(const eval::Series& series) {
  if (series.name.empty() || series.y.empty()) return "";
  return fmt::format(" {}: from {:.4g} to {:.4g}.", series.name, series.y.front(), series.y.back());
}

eval::Plot plot_of(const Quantity& quantity, const ReportRuns& runs, const ReportRun& run) {
  eval::Plot plot{quantity.title + run_suffix(runs, run),
                  quantity.description,
                  {"update", false, 0.0, {}},
                  {quantity.axis, false, {}, {}},
                  {},
                  {}};
  if (quantity.from_zero) plot.y.low = 0;
  if (quantity.least_high > 0) plot.y.high = quantity.least_high;
  for (const auto& row : model_rows(run)) {
    if (row.model == "untrained") continue;
    for (const auto* training : row.trainings) {
      const TrainingCurves& curves = training->metrics.curves;
      if (curves.step.empty()) continue;
      eval::Series series;
      if (training == row.trainings.front()) series.name = row.model;
      series.x = curves.step;
      for (const double value : curves.*quantity.values) series.y.push_back(quantity.scale * value);
      series.colour = row.colour;
      series.thin = training != row.trainings.front();
      plot.description += spoken_ends(series);
      plot.series.push_back(eval::thinned(std::move(series), kMostPoints));
    }
  }
  return plot;
}

eval::Plot verification_plot(const std::string& set, const ReportRuns& runs, const ReportRun& run) {
  eval::Plot plot{"Verification: " + set + run_suffix(runs, run),
                  "Verification accuracy over the updates.",
                  {"update", false, 0.0, {}},
                  {"accuracy, %", false, {}, {}},
                  {},
                  {}};
  for (const auto& row : model_rows(run)) {
    if (row.model == "untrained") continue;
    for (const auto* training : row.trainings) {
      eval::Series series;
      if (training == row.trainings.front()) series.name = row.model;
      for (const auto& point : training->metrics.evaluations) {
        if (point.set != set) continue;
        series.x.push_back(point.step);
        series.y.push_back(100 * point.accuracy);
      }
      if (series.y.empty()) continue;
      series.colour = row.colour;
      series.thin = training != row.trainings.front();
      plot.description += spoken_ends(series);
      plot.series.push_back(eval::thinned(std::move(series), kMostPoints));
    }
  }
  return plot;
}

/// One scale for the same quantity of all runs, so that they can be compared by eye.
void share_scale(std::vector<eval::Plot>& plots) {
  double low_y = HUGE_VAL, high_y = -HUGE_VAL, high_x = -HUGE_VAL;
  for (const auto& plot : plots) {
    for (const auto& series : plot.series) {
      for (const double x : series.x) high_x = std::isfinite(x) ? std::max(high_x, x) : high_x;
      for (const double y : series.y) {
        if (!std::isfinite(y)) continue;
        low_y = std::min(low_y, y);
        high_y = std::max(high_y, y);
      }
    }
  }
  if (low_y > high_y) return;
  for (auto& plot : plots) {
    if (!plot.y.low) plot.y.low = low_y;
    plot.y.high = std::max(high_y, plot.y.high.value_or(high_y));
    plot.x.high = high_x;
  }
}

void write_side_by_side(eval::HtmlWriter& html, const ReportRuns& runs,
                        const std::function<eval::Plot(const ReportRun&)>& plot_of_run) {
  std::vector<eval::Plot> plots;
  for (const auto& run : runs) {
    eval::Plot plot = plot_of_run(run);
    if (!plot.series.empty()) plots.push_back(std::move(plot));
  }
  share_scale(plots);
  for (const auto& plot : plots) eval::write_plot(html, plot);
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return std::nan("");
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double mean(const std::vector<double>& values) {
  double sum = 0, count = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    sum += value;
    ++count;
  }
  return count > 0 ? sum / count : std::nan("");
}

std::string or_dash(double value, const std::string& text) {
  return std::isfinite(value) && value > 0 ? text : "-";
}

void add_costs(eval::Table& table, const std::string& run, const ReportTraining& training) {
  const TrainingCurves& curves = training.metrics.curves;
  const double seconds = number_at(training.result, "seconds"),
               speed = median(curves.images_per_second), wait = mean(curves.data_wait);
  const double steps =
      curves.step.empty() ? number_at(training.result, "steps") : curves.step.back();
  table.rows.push_back(
      {{training.stage, run, ""},
       {or_dash(steps, fmt::format("{:.0f}", steps)), "", ""},
       {training.result.is_null() ? "not finished" : or_dash(seconds, format_duration(seconds)), "",
        ""},
       {or_dash(speed, fmt::format("{:.1f}", speed)), "", ""},
       {std::isfinite(wait) ? fmt::format("{:.1f} %", 100 * wait) : "-", "", ""},
       {or_dash(curves.host_peak_bytes,
                fmt::format("{:.2f} GiB", curves.host_peak_bytes / kBytesPerGibibyte)),
        "", ""},
       {or_dash(curves.device_peak_bytes,
                fmt::format("{:.2f} GiB", curves.device_peak_bytes / kBytesPerGibibyte)),
        "", ""},
       {std::to_string(curves.skipped_updates), "", ""}});
}

void write_phases(eval::HtmlWriter& html, const ReportRuns& runs, const ReportRun& run) {
  for (const auto& row : model_rows(run)) {
    if (row.model == "untrained") continue;
    const TrainingCurves& curves = row.trainings.front()->metrics.curves;
    std::vector<eval::BarPart> parts;
    for (std::size_t i = 0; i < kPhaseNames.size(); ++i) {
      const double ms = mean(curves.phase_ms[i]);
      if (!(ms > 0)) continue;
      parts.push_back({kPhaseNames[i], ms, i, fmt::format("{:.4g} ms", ms)});
    }
    eval::write_bar(html, "Where a step spends its time: " + row.model + run_suffix(runs, run),
                    parts);
  }
}

}  // namespace

void write_training_curves(eval::HtmlWriter& html, const ReportRuns& runs) {
  write_heading(html, "training", "Training");
  const bool any = std::any_of(runs.begin(), runs.end(), [](const auto& run) {
    return std::any_of(run.trainings.begin(), run.trainings.end(),
                       [](const auto& t) { return !t.metrics.curves.step.empty(); });
  });
  if (!any) {
    html.element("p", "No training metrics.", {{"class", "note"}});
    return;
  }
  html.element("p", "Additional seeds of a model are drawn as thin lines of the same colour.",
               {{"class", "note"}});
  html.open("div", {{"class", "plots"}});
  for (const auto& quantity : kQuantities)
    write_side_by_side(html, runs, [&](const auto& run) { return plot_of(quantity, runs, run); });
  std::vector<std::string> sets;
  for (const auto& run : runs) {
    for (const auto& training : run.trainings) {
      for (const auto& point : training.metrics.evaluations) {
        if (std::find(sets.begin(), sets.end(), point.set) == sets.end()) sets.push_back(point.set);
      }
    }
  }
  for (const auto& set : sets)
    write_side_by_side(html, runs,
                       [&](const auto& run) { return verification_plot(set, runs, run); });
  html.close("div");
}

void write_costs(eval::HtmlWriter& html, const ReportRuns& runs) {
  write_heading(html, "costs", "Time and memory");
  eval::Table table{
      "Trainings. Memory is the peak of the process of rank 0 up to that point, including earlier "
      "stages.",
      {"stage", "updates", "time", "images/s (median)", "data wait", "host memory", "device memory",
       "skipped updates"},
      {}};
  for (const auto& run : runs) {
    for (const auto& training : run.trainings)
      if (training.stage != kEvaluationStage)
        add_costs(table, runs.size() > 1 ? run.name : "", training);
  }
  if (table.rows.empty()) {
    html.element("p", "No training in this run.", {{"class", "note"}});
  } else {
    eval::write_table(html, table);
  }
  for (const auto& run : runs) {
    const double scoring = number_at(run.scoring, "seconds"),
                 samples = number_at(run.scoring, "samples"),
                 all = number_at(run.summary, "seconds");
    std::string text;
    if (scoring > 0)
      text = fmt::format("Scoring of {:.0f} images took {}. ", samples, format_duration(scoring));
    if (all > 0)
      text += fmt::format("The last start of the run took {} (finished stages are skipped).",
                          format_duration(all));
    if (!text.empty()) html.element("p", (runs.size() > 1 ? run.name + ": " : "") + text);
  }
  write_pruning_cost(html, runs);
  for (const auto& run : runs) write_phases(html, runs, run);
}

}  // namespace diffprob::launch
