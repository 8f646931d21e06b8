#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "eval/page/html.h"
#include "launch/report/run.h"

namespace diffprob::launch {

/// An image of the data set as a figure of the page.
struct FigureText {
  std::string style;    ///< class of the figure: "kept", "pruned", "cleaned"
  std::string caption;  ///< below the image
  std::string text;     ///< for those who do not see it
};

/// Puts images into the page until its share of bytes is used up.
class PageImages {
 public:
  PageImages(eval::HtmlWriter& html, const data::Dataset& dataset, std::size_t most_bytes)
      : html_(html), dataset_(dataset), left_(most_bytes) {}
  void write(std::int64_t index, const FigureText& text);

 private:
  std::optional<std::string> uri_of(std::int64_t index);

  eval::HtmlWriter& html_;
  const data::Dataset& dataset_;
  std::size_t left_;
  std::string why_not_;
  std::vector<std::byte> bytes_;
};

/// Why the images of the run's data set are not those of its scores; "" when they are. The run has
/// both.
[[nodiscard]] std::string mismatch(const ReportRun& run);

}  // namespace diffprob::launch
