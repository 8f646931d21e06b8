#include "launch/report/sections/images.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "eval/page/image_uri.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kMostImageBytes = 60 * 1000;  // of one image

}  // namespace

void PageImages::write(std::int64_t index, const FigureText& text) {
  html_.open("figure", {{"class", "face " + text.style}});
  if (const auto uri = uri_of(index)) {
    html_.empty("img",
                {{"src", *uri}, {"alt", text.text}, {"title", text.text}, {"loading", "lazy"}});
  } else {
    html_.element(
        "div", why_not_,
        {{"class", "none"}, {"role", "img"}, {"aria-label", text.text + ": " + why_not_}});
  }
  html_.element("figcaption", text.caption).close("figure");
}

std::optional<std::string> PageImages::uri_of(std::int64_t index) {
  try {
    dataset_.read(index, bytes_);
  } catch (const std::exception&) {
    why_not_ = "unreadable";
    return std::nullopt;
  }
  why_not_ = "too large";
  if (bytes_.size() > std::min(kMostImageBytes, left_)) return std::nullopt;
  why_not_ = "neither JPEG nor PNG";
  auto uri = eval::image_uri(bytes_);
  if (uri) left_ -= bytes_.size();
  return uri;
}

std::string mismatch(const ReportRun& run) {
  const prune::ScoredSamples& samples = run.scored->samples;
  if (run.dataset->size() != samples.size()) {
    return fmt::format("the data set has {} images, but the scores are of {}", run.dataset->size(),
                       samples.size());
  }
  const std::string& wanted = samples.dataset_fingerprint();
  return wanted.empty() || wanted == run.dataset->fingerprint()
             ? ""
             : "the data set has changed since it was scored";
}

}  // namespace diffprob::launch
