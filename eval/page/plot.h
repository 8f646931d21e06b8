#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "eval/page/html.h"

namespace diffprob::eval {

/// Points joined in the order given; a point that cannot be drawn (not finite; not positive on a
/// logarithmic axis) leaves a gap.
struct Series {
  enum class Kind {
    kLine,
    kStep,  ///< x holds the edges of bins, one more than y
  };
  std::string name;  ///< "" draws it without an entry in the legend
  std::vector<double> x;
  std::vector<double> y;
  Kind kind = Kind::kLine;
  std::size_t colour = 0;  ///< of kColours; further ones begin anew with dashes
  bool dashed = false;
  bool filled = false;
  bool thin = false;
  bool dots = false;  ///< a dot at each point of a line
  /// Ends of a bar at each point of a line, an interval of its y; NaN: no bar. Empty: no bars at
  /// all. A bar that leaves the plot is cut at its edge and has no cap there.
  std::vector<double> bar_low{};
  std::vector<double> bar_high{};
};
inline constexpr std::size_t kColours = 6;

struct Axis {
  std::string label;
  bool log = false;
  std::optional<double> low;  ///< instead of what the series need
  std::optional<double> high;
};

/// A line across the plot at a value of an axis.
struct Marker {
  enum class Of { kX, kY };
  Of of = Of::kX;
  double at = 0;
  std::string label;  ///< may be empty
};

struct Plot {
  std::string title;
  std::string description;  ///< what a reader who cannot see it should know
  Axis x;
  Axis y;
  std::vector<Series> series;
  std::vector<Marker> markers;
};

/// <figure class="plot"> with a caption, an inline SVG (role "img", title and description) and a
/// legend. It scales with its container; colours come from page_style(). Without a point to draw it
/// says so. Throws std::invalid_argument when x, y and bars of a series do not fit.
void write_plot(HtmlWriter& html, const Plot& plot);

/// At most `most` (>= 1) points: means of x and y over runs of neighbours, without those that are
/// not finite.
[[nodiscard]] Series thinned(Series series, std::size_t most);

/// Parts of a whole as one bar with its legend.
struct BarPart {
  std::string name;
  double value = 0;  ///< what is not positive is left out
  std::size_t colour = 0;
  std::string shown;  ///< in the legend, behind the name
};
void write_bar(HtmlWriter& html, const std::string& title, const std::vector<BarPart>& parts);

}  // namespace diffprob::eval
