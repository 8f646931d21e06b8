#include "eval/page/plot.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "eval/page/axis.h"

namespace diffprob::eval {
namespace {

// The drawing's own units; the page scales it.
constexpr double kWidth = 480, kHeight = 306, kLeft = 56, kRight = 456, kTop = 12, kBottom = 252;
constexpr double kCap = 3.5;  // half the width of a bar's cap
constexpr int kTicksX = 6, kTicksY = 5;

std::string coordinate(double value) {
  return fmt::format("{:.1f}", value);
}

class Drawing {
 public:
  Drawing(HtmlWriter& html, const Plot& plot) : html_(html), plot_(plot) {
    std::vector<double> xs, ys;
    for (const auto& series : plot.series) {
      const std::size_t wanted =
          series.y.size() + (series.kind == Series::Kind::kStep && !series.y.empty() ? 1 : 0);
      if (series.x.size() != wanted) {
        throw std::invalid_argument(fmt::format("plot '{}': series '{}' has {} x for {} y",
                                                plot.title, series.name, series.x.size(),
                                                series.y.size()));
      }
      check_bars(series);
      for (std::size_t i = 0; i < series.y.size(); ++i) {
        if (!drawable(plot.x, series.x[i]) || !drawable(plot.y, series.y[i])) continue;
        any_ = true;
        xs.push_back(series.x[i]);
        ys.push_back(series.y[i]);
        if (series.kind == Series::Kind::kStep) xs.push_back(series.x[i + 1]);
        if (!has_bar(series, i)) continue;
        ys.push_back(series.bar_low[i]);
        ys.push_back(series.bar_high[i]);
      }
    }
    x_ = with_limits(range_of(xs, plot.x.log), plot.x);
    y_ = with_limits(range_of(ys, plot.y.log), plot.y);
  }

  void write() {
    html_.open("figure", {{"class", "plot"}});
    html_.element("figcaption", plot_.title);
    if (any_) {
      write_svg();
      write_legend();
    } else {
      html_.element("p", "Nothing to draw.", {{"class", "note"}});
    }
    html_.close("figure");
  }

 private:
  static bool drawable(const Axis& axis, double value) { return can_be_drawn(value, axis.log); }

  void check_bars(const Series& series) const {
    if (series.bar_low.empty() && series.bar_high.empty()) return;
    if (series.kind == Series::Kind::kLine && series.bar_low.size() == series.y.size() &&
        series.bar_high.size() == series.y.size())
      return;
    throw std::invalid_argument(fmt::format(
        "plot '{}': series '{}' has {} and {} ends of bars "
        "for {} y",
        plot_.title, series.name, series.bar_low.size(), series.bar_high.size(), series.y.size()));
  }

  [[nodiscard]] bool has_bar(const Series& series, std::size_t i) const {
    return !series.bar_low.empty() && drawable(plot_.y, series.bar_low[i]) &&
           drawable(plot_.y, series.bar_high[i]);
  }

  static AxisRange with_limits(AxisRange range, const Axis& axis) {
    AxisRange limited = range;
    if (axis.low && drawable(axis, *axis.low)) limited.low = *axis.low;
    if (axis.high && drawable(axis, *axis.high)) limited.high = *axis.high;
    return limited.low < limited.high ? limited : range;
  }

  [[nodiscard]] double at_x(double value) const {
    return kLeft + position(x_, value) * (kRight - kLeft);
  }
  [[nodiscard]] double at_y(double value) const {
    return kBottom - position(y_, value) * (kBottom - kTop);
  }

  void write_svg() {
    const std::string title = html_.next_id(), description = html_.next_id();
    html_.open("svg", {{"viewBox", fmt::format("0 0 {} {}", kWidth, kHeight)},
                       {"role", "img"},
                       {"aria-labelledby", title + " " + description}});
    html_.element("title", plot_.title, {{"id", title}});
    html_.element("desc", plot_.description, {{"id", description}});
    write_axes();
    for (const auto& series : plot_.series) write_series(series);
    for (const auto& marker : plot_.markers) write_marker(marker);
    html_.close("svg");
  }

  void line(double x1, double y1, double x2, double y2, std::string_view style) {
    html_.empty("line", {{"x1", coordinate(x1)},
                         {"y1", coordinate(y1)},
                         {"x2", coordinate(x2)},
                         {"y2", coordinate(y2)},
                         {"class", style}});
  }

  void label(double x, double y, std::string_view anchor, std::string_view style,
             const std::string& text) {
    if (text.empty()) return;
    html_.element(
        "text", text,
        {{"x", coordinate(x)}, {"y", coordinate(y)}, {"text-anchor", anchor}, {"class", style}});
  }

  void write_axes() {
    for (const double value : ticks(x_, kTicksX)) {
      line(at_x(value), kTop, at_x(value), kBottom, "grid");
      label(at_x(value), kBottom + 20, "middle", "tick", short_number(value));
    }
    for (const double value : ticks(y_, kTicksY)) {
      line(kLeft, at_y(value), kRight, at_y(value), "grid");
      label(kLeft - 6, at_y(value) + 4, "end", "tick", short_number(value));
    }
    line(kLeft, kBottom, kRight, kBottom, "axis");
    line(kLeft, kTop, kLeft, kBottom, "axis");
    label((kLeft + kRight) / 2, kHeight - 10, "middle", "axis-label", plot_.x.label);
    html_.element("text", plot_.y.label,
                  {{"transform", fmt::format("translate(12 {}) rotate(-90)", (kTop + kBottom) / 2)},
                   {"text-anchor", "middle"},
                   {"class", "axis-label"}});
  }

  void write_series(const Series& series) {
    std::string path, area;
    const std::string base = coordinate(kBottom);
    double run_start = 0, run_end = 0;
    bool in_run = false;
    const auto end_run = [&] {
      if (in_run)
        area +=
            fmt::format("L{} {}L{} {}Z", coordinate(run_end), base, coordinate(run_start), base);
      in_run = false;
    };
    const auto point = [&](double x, double y) {
      const std::string to =
          fmt::format("{}{} {}", in_run ? "L" : "M", coordinate(x), coordinate(y));
      path += to;
      area += to;
      if (!in_run) run_start = x;
      run_end = x;
      in_run = true;
    };
    for (std::size_t i = 0; i < series.y.size(); ++i) {
      if (!drawable(plot_.x, series.x[i]) || !drawable(plot_.y, series.y[i])) {
        end_run();
        continue;
      }
      const bool alone =
          !in_run && !(i + 1 < series.y.size() && drawable(plot_.x, series.x[i + 1]) &&
                       drawable(plot_.y, series.y[i + 1]));
      point(at_x(series.x[i]), at_y(series.y[i]));
      if (series.kind == Series::Kind::kStep) {
        if (drawable(plot_.x, series.x[i + 1])) point(at_x(series.x[i + 1]), at_y(series.y[i]));
      } else if (alone) {
        dot(at_x(series.x[i]), at_y(series.y[i]), series.colour);
      }
    }
    end_run();
    if (path.empty()) return;
    if (series.filled)
      html_.empty("path",
                  {{"d", area}, {"class", fmt::format("area s{}", series.colour % kColours)}});
    const bool dashes = series.dashed || series.colour >= kColours;
    html_.empty("path",
                {{"d", path},
                 {"class", fmt::format("line s{}{}{}", series.colour % kColours,
                                       dashes ? " dashed" : "", series.thin ? " thin" : "")}});
    if (series.kind == Series::Kind::kLine) write_dots_and_bars(series);
  }

  void dot(double x, double y, std::size_t colour) {
    html_.empty("circle", {{"cx", coordinate(x)},
                           {"cy", coordinate(y)},
                           {"r", "3"},
                           {"class", fmt::format("dot s{}", colour % kColours)}});
  }

  void write_dots_and_bars(const Series& series) {
    const std::string style = fmt::format("bar s{}", series.colour % kColours);
    const double rounding = 1e-9 * (y_.high - y_.low);
    for (std::size_t i = 0; i < series.y.size(); ++i) {
      if (!drawable(plot_.x, series.x[i]) || !drawable(plot_.y, series.y[i])) continue;
      const double x = at_x(series.x[i]);
      if (has_bar(series, i)) {
        const double low = series.bar_low[i], high = series.bar_high[i];
        line(x, at_y(low), x, at_y(high), style);
        if (low >= y_.low - rounding) line(x - kCap, at_y(low), x + kCap, at_y(low), style);
        if (high <= y_.high + rounding) line(x - kCap, at_y(high), x + kCap, at_y(high), style);
      }
      if (series.dots) dot(x, at_y(series.y[i]), series.colour);
    }
  }

  void write_marker(const Marker& marker) {
    const bool of_x = marker.of == Marker::Of::kX;
    if (!drawable(of_x ? plot_.x : plot_.y, marker.at)) return;
    if (of_x) {
      const double x = at_x(marker.at);
      const bool left_half = x < (kLeft + kRight) / 2;
      line(x, kTop, x, kBottom, "marker");
      label(left_half ? x + 5 : x - 5, kTop + 12, left_half ? "start" : "end", "marker-label",
            marker.label);
    } else {
      const double y = at_y(marker.at);
      line(kLeft, y, kRight, y, "marker");
      label(kRight - 4, y > kTop + 20 ? y - 5 : y + 14, "end", "marker-label", marker.label);
    }
  }

  void write_legend() {
    const auto named = std::count_if(plot_.series.begin(), plot_.series.end(),
                                     [](const auto& s) { return !s.name.empty(); });
    if (named == 0) return;
    html_.open("ul", {{"class", "legend"}});
    for (const auto& series : plot_.series) {
      if (series.name.empty()) continue;
      const bool dashes = series.dashed || series.colour >= kColours;
      html_.open("li").open(
          "span",
          {{"class", fmt::format("key b{}{}", series.colour % kColours, dashes ? " dashed" : "")}});
      html_.close("span").text(series.name).close("li");
    }
    html_.close("ul");
  }

  HtmlWriter& html_;
  const Plot& plot_;
  AxisRange x_;
  AxisRange y_;
  bool any_ = false;
};

}  // namespace

void write_plot(HtmlWriter& html, const Plot& plot) {
  Drawing(html, plot).write();
}

Series thinned(Series series, std::size_t most) {
  if (most == 0 || series.kind != Series::Kind::kLine || series.y.size() <= most ||
      series.x.size() != series.y.size())
    return series;
  const std::size_t points = series.y.size();
  std::vector<double> x, y;
  for (std::size_t group = 0; group < most; ++group) {
    double sum_x = 0, sum_y = 0, count = 0;
    for (std::size_t i = group * points / most; i < (group + 1) * points / most; ++i) {
      if (!std::isfinite(series.x[i]) || !std::isfinite(series.y[i])) continue;
      sum_x += series.x[i];
      sum_y += series.y[i];
      ++count;
    }
    x.push_back(count > 0 ? sum_x / count : series.x[group * points / most]);
    y.push_back(count > 0 ? sum_y / count : std::numeric_limits<double>::quiet_NaN());
  }
  series.x = std::move(x);
  series.y = std::move(y);
  return series;
}

void write_bar(HtmlWriter& html, const std::string& title, const std::vector<BarPart>& parts) {
  double total = 0;
  std::string description;
  for (const auto& part : parts) {
    if (!(part.value > 0) || !std::isfinite(part.value)) continue;
    total += part.value;
    description += (description.empty() ? "" : "; ") + part.name + " " + part.shown;
  }
  if (total <= 0) return;
  html.open("figure", {{"class", "bar"}}).element("figcaption", title);
  const std::string title_id = html.next_id(), description_id = html.next_id();
  html.open("svg", {{"viewBox", "0 0 1000 40"},
                    {"preserveAspectRatio", "none"},
                    {"role", "img"},
                    {"aria-labelledby", title_id + " " + description_id}});
  html.element("title", title, {{"id", title_id}})
      .element("desc", description, {{"id", description_id}});
  double at = 0;
  for (const auto& part : parts) {
    if (!(part.value > 0) || !std::isfinite(part.value)) continue;
    const double width = 1000 * part.value / total;
    html.empty("rect", {{"x", coordinate(at)},
                        {"y", "0"},
                        {"width", coordinate(width)},
                        {"height", "40"},
                        {"class", fmt::format("fill s{}", part.colour % kColours)}});
    at += width;
  }
  html.close("svg").open("ul", {{"class", "legend"}});
  for (const auto& part : parts) {
    if (!(part.value > 0) || !std::isfinite(part.value)) continue;
    html.open("li")
        .open("span", {{"class", fmt::format("key b{}", part.colour % kColours)}})
        .close("span");
    html.text(part.name + " ").element("strong", part.shown).close("li");
  }
  html.close("ul").close("figure");
}

}  // namespace diffprob::eval
