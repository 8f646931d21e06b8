#include "data/check/duplicate_search.h"

#include <algorithm>
#include <span>
#include <string>
#include <tuple>

namespace diffprob::data {
namespace {

void report_copies(std::span<const DigestedImage> copies, const Dataset& labels,
                   std::vector<Finding>& findings) {
  const auto first = copies[0].sample;
  const auto label = labels.label(first);
  const auto other = std::ranges::find_if(
      copies, [&](const DigestedImage& copy) { return labels.label(copy.sample) != label; });
  const bool conflict = other != copies.end();
  for (const auto& copy : copies.subspan(conflict ? 0 : 1)) {
    const auto own = labels.label(copy.sample);
    // The copy that it contradicts: the first under another label.
    const auto& against = conflict && own == label ? *other : copies[0];
    findings.push_back(
        {.kind = conflict ? FindingKind::kConflict : FindingKind::kDuplicate,
         .index = copy.sample,
         .label = own,
         .other = against.sample,
         .message = "the same bytes as sample " + std::to_string(against.sample) + " (" +
                    labels.describe(against.sample) + ")" +
                    (conflict ? ", whose label is " + std::to_string(labels.label(against.sample))
                              : " of the same identity")});
  }
}

}  // namespace

void find_duplicates(std::vector<DigestedImage>& images, const Dataset& labels,
                     std::vector<Finding>& findings) {
  std::ranges::sort(images, {}, [](const DigestedImage& image) {
    return std::tuple(image.digest, image.sample);
  });
  for (std::size_t begin = 0; begin < images.size();) {
    auto end = begin + 1;
    while (end < images.size() && images[end].digest == images[begin].digest) ++end;
    if (end - begin > 1)
      report_copies(std::span(images).subspan(begin, end - begin), labels, findings);
    begin = end;
  }
}

}  // namespace diffprob::data
