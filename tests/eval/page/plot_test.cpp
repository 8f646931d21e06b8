#include "eval/page/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>
#include <stdexcept>

#include "eval/page/axis.h"
#include "eval/page/page_style.h"
#include "eval/page/table.h"

namespace diffprob::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string drawn(const Plot& plot) {
  HtmlWriter html;
  write_plot(html, plot);
  return html.take();  // throws when an element is open
}

Plot plot_of(Series series) {
  return {"title", "description", {"x", false, {}, {}}, {"y", false, {}, {}}, {std::move(series)},
          {}};
}

TEST(Axis, RangeHoldsWhatCanBeDrawn) {
  const std::vector<double> values = {3, kNan, -2, kInfinity, 5};
  EXPECT_EQ(range_of(values, false).low, -2);
  EXPECT_EQ(range_of(values, false).high, 5);
  EXPECT_EQ(range_of(values, true).low, 3);
  for (const bool log : {false, true}) {
    for (const std::vector<double>& few :
         {std::vector<double>{}, {kNan}, {7}, {0}, {1e308, -1e308}, {9e299, -9e299}}) {
      const AxisRange range = range_of(few, log);
      EXPECT_LT(range.low, range.high);
      EXPECT_TRUE(std::isfinite(range.high - range.low));
      EXPECT_TRUE(!log || range.low > 0);
    }
  }
}

TEST(Axis, PositionsAreLinearOrLogarithmicAndClamped) {
  EXPECT_DOUBLE_EQ(position({10, 20, false}, 15), 0.5);
  EXPECT_DOUBLE_EQ(position({1e-4, 1, true}, 1e-2), 0.5);
  EXPECT_DOUBLE_EQ(position({0, 1, false}, 7), 1);
  EXPECT_TRUE(std::isnan(position({1, 2, true}, 0)));
  EXPECT_TRUE(std::isnan(position({1, 2, false}, kNan)));
}

TEST(Axis, TicksAreFewRoundAndInside) {
  EXPECT_EQ(ticks({0, 1, false}, 5),
            (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  EXPECT_THAT(ticks({1e-6, 1, true}, 4), ::testing::ElementsAre(1e-6, 1e-4, 1e-2, 1));
  EXPECT_THAT(ticks({5, 530, true}, 5), ::testing::ElementsAre(5, 10, 20, 50, 100, 200, 500));
  for (const AxisRange range :
       {AxisRange{-3.7, 12.2, false}, AxisRange{0, 1e-9, false}, AxisRange{5e8, 7e9, false},
        AxisRange{1e-30, 1e20, true}, AxisRange{0.8, 1.3, true}}) {
    const auto marks = ticks(range, 6);
    EXPECT_GE(marks.size(), 2U);
    EXPECT_LE(marks.size(), 9U);
    for (const double mark : marks) {
      EXPECT_GE(mark, range.low - 1e-6 * (range.high - range.low));
      EXPECT_LE(mark, range.high + 1e-6 * (range.high - range.low));
    }
  }
}

TEST(Axis, ShortNumbers) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(0.25), "0.25");
  EXPECT_EQ(short_number(1500), "1500");
  EXPECT_EQ(short_number(12000), "12k");
  EXPECT_EQ(short_number(3.4e6), "3.4M");
  EXPECT_EQ(short_number(1e-5), "1e-5");
  EXPECT_EQ(short_number(2.5e12), "2.5e12");
  EXPECT_EQ(short_number(kNan), "-");
}

TEST(Plot, PointsAreWhereTheyBelong) {
  const std::string html = drawn(plot_of({"s", {0, 1, 2}, {0, 5, 10}}));

  EXPECT_THAT(
      html,
      HasSubstr("M56.0 252.0L256.0 132.0L456.0 12.0"));  // corners of the drawing and its middle
  EXPECT_THAT(html, HasSubstr("role=\"img\""));
  EXPECT_THAT(html, HasSubstr(">description</desc>"));
}

TEST(Plot, BarsHaveCapsWhereTheyEndInsideThePlot) {
  Series series{"s", {0, 10}, {1, 2}};
  series.bar_low = {0, kNan};
  series.bar_high = {4, kNan};
  const auto lines_of = [](const std::string& svg) {
    const std::regex bar(R"(class="bar s0")");
    return std::distance(std::sregex_iterator(svg.begin(), svg.end(), bar), {});
  };

  const std::string svg = drawn(plot_of(series));
  EXPECT_EQ(lines_of(svg), 3);  // one bar with two caps; the other has none
  EXPECT_THAT(svg, HasSubstr(R"(x1="56.0" y1="252.0" x2="56.0" y2="12.0" class="bar s0")"));
  EXPECT_THAT(svg, Not(HasSubstr("<circle")));

  Plot cut = plot_of(series);
  cut.y.low = 0.5;
  EXPECT_EQ(lines_of(drawn(cut)), 2);  // the lower end is cut

  series.dots = true;
  EXPECT_THAT(drawn(plot_of(series)), HasSubstr("<circle"));

  series.bar_high = {4};
  EXPECT_THROW((void)drawn(plot_of(series)), std::invalid_argument);
}

TEST(Plot, EmptyOnePointAndNotFinite) {
  EXPECT_THAT(drawn(plot_of({"s", {}, {}})), HasSubstr("Nothing to draw"));
  EXPECT_THAT(drawn(plot_of({"s", {kNan, 1}, {1, kInfinity}})), HasSubstr("Nothing to draw"));
  EXPECT_THAT(drawn(plot_of({"s", {1}, {1}})), HasSubstr("<circle"));
  const std::string gap = drawn(plot_of({"s", {0, 1, 2, 3, 4}, {0, 1, kNan, 3, 4}}));
  EXPECT_EQ(std::count(gap.begin(), gap.end(), 'M'), 2);  // two runs
  for (const auto& html : {gap, drawn(plot_of({"s", {1}, {1}}))})
    EXPECT_THAT(html, Not(::testing::AnyOf(HasSubstr("nan"), HasSubstr("inf"))));
}

TEST(Plot, LogarithmicAxesLeaveOutZero) {
  Plot plot = plot_of({"s", {1, 10, 100}, {0, 1, 2}});
  plot.y.log = true;
  EXPECT_THAT(drawn(plot), Not(HasSubstr("nan")));
}

TEST(Plot, StepsNeedOneMoreEdge) {
  Series series{"s", {0, 1, 2}, {3, 4}, Series::Kind::kStep};
  series.filled = true;
  EXPECT_THAT(drawn(plot_of(series)), HasSubstr("class=\"area s0\""));
  series.x.pop_back();
  EXPECT_THROW((void)drawn(plot_of(series)), std::invalid_argument);
}

TEST(Plot, NamesAreEscaped) {
  Plot plot = plot_of({"<script>alert(1)</script>", {0, 1}, {0, 1}});
  plot.title = "a & b";
  plot.markers = {{Marker::Of::kX, 0.5, "\"<x>\""}, {Marker::Of::kY, kNan, "none"}};
  const std::string html = drawn(plot);
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("a &amp; b"));
}

TEST(Plot, ThinningKeepsMeans) {
  Series series{"s", {}, {}};
  for (int i = 0; i < 1000; ++i) {
    series.x.push_back(i);
    series.y.push_back(i % 10 == 3 ? kNan : 2.0 * i);
  }
  const Series thin = thinned(series, 100);
  ASSERT_EQ(thin.y.size(), 100U);
  for (std::size_t g = 0; g < 100; ++g) {
    double sum = 0;
    for (int i = 0; i < 10; ++i) sum += i == 3 ? 0 : 2.0 * (10.0 * static_cast<double>(g) + i);
    EXPECT_NEAR(thin.y[g], sum / 9, 1e-9);
    EXPECT_NEAR(thin.x[g] * 2, thin.y[g], 1e-9);
  }
  EXPECT_EQ(thinned(series, 2000).y.size(), 1000U);
}

TEST(Bar, PartsFillIt) {
  HtmlWriter html;
  write_bar(html, "bar",
            {{"a", 30, 0, "30"}, {"none", 0, 1, "0"}, {"bad", kNan, 2, "nan"}, {"b", 10, 3, "10"}});
  const std::string text = html.take();
  EXPECT_THAT(text, HasSubstr("width=\"750.0\""));
  EXPECT_THAT(text, HasSubstr("x=\"750.0\" y=\"0\" width=\"250.0\""));
  EXPECT_THAT(text, Not(HasSubstr("bad")));
  write_bar(html, "bar", {{"a", 0, 0, "0"}});
  EXPECT_EQ(html.take(), "");
}

TEST(TableTest, ShortRowsAreFilled) {
  HtmlWriter html;
  write_table(
      html, {"caption", {"a", "b"}, {{{"<1>", "", ""}}, {{"x", "", ""}, {"y", "small", "good"}}}});
  const std::string text = html.take();
  EXPECT_THAT(text, HasSubstr("<th scope=\"row\">&lt;1&gt;</th>\n<td></td>"));
  EXPECT_THAT(text, HasSubstr("<td class=\"good\">y<br/><small>small</small>\n</td>"));
}

/// Relative luminance of WCAG 2.
double luminance(const std::string& colour) {
  const auto channel = [&](std::size_t at) {
    const double c = std::stoi(colour.substr(at, 2), nullptr, 16) / 255.0;
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

TEST(PageStyle, ColoursHaveContrastInBothSchemes) {
  const std::string css(page_style());
  HtmlWriter html;
  EXPECT_NO_THROW(html.style(css));
  const std::size_t dark = css.find("prefers-color-scheme: dark");
  ASSERT_NE(dark, std::string::npos);
  for (const std::string& scheme : {css.substr(0, dark), css.substr(dark)}) {
    const auto colour = [&](const std::string& name) {
      std::smatch found;
      EXPECT_TRUE(std::regex_search(scheme, found, std::regex("--" + name + ": (#[0-9a-f]{6})")))
          << name;
      return luminance(found[1]);
    };
    const auto contrast = [&](const std::string& a, const std::string& b) {
      const double x = colour(a), y = colour(b);
      return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
    };
    for (const std::string ground : {"ground", "panel"}) {
      for (const std::string text : {"ink", "soft", "link", "good", "bad"})
        EXPECT_GE(contrast(text, ground), 4.5) << text << " on " << ground;
      for (std::size_t i = 0; i < kColours; ++i)
        EXPECT_GE(contrast("s" + std::to_string(i), ground), 3.0) << "s" << i << " on " << ground;
    }
  }
}

}  // namespace
}  // namespace diffprob::eval
