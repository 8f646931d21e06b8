#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "data/sets/set_names.h"
#include "data/sets/verification_images.h"
#include "launch/report/sections/images.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

/// The image of a verification set of a run that a leak names.
struct TestImage {
  std::shared_ptr<const data::Dataset> set;
  std::int64_t index = 0;
};

class TestSets {
 public:
  explicit TestSets(const Config& config)
      : paths_(config.eval.sets), names_(data::set_names(config.eval.sets)), sets_(paths_.size()) {}

  /// Nothing for a crop of an IJB folder, and where the set is not there any more.
  TestImage find(const std::string& name) {
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      if (!name.starts_with(names_[i] + " ")) continue;
      std::error_code error;
      if (sets_[i] == nullptr && std::filesystem::exists(paths_[i], error))
        sets_[i] = data::open_verification_images(paths_[i]);
      const std::int64_t size = sets_[i] == nullptr ? 0 : sets_[i]->size();
      for (std::int64_t k = 0; k < size; ++k)
        if (data::describe_verification_image(names_[i], k) == name) return {sets_[i], k};
    }
    return {};
  }

 private:
  std::vector<std::string> paths_, names_;
  std::vector<std::shared_ptr<const data::Dataset>> sets_;
};

class CopySheets {
 public:
  CopySheets(eval::HtmlWriter& html, const ReportRun& run, std::size_t most_bytes)
      : html_(html), run_(run), images_(html, *run.dataset, most_bytes), tests_(*run.config) {}

  void write(const CopyPairs& pairs) {
    html_.open("div", {{"class", "sheet"}});
    for (const CopyPair& pair : pairs.shown) {
      if (!is_in_set(pair.index, pair.name)) continue;
      html_.open("div", {{"class", "group"}});
      images_.write(pair.index, {"kept", label_text(pair.index), pair.name});
      const std::string likeness = fmt::format("{} {:.3f}", pair.by, pair.likeness);
      if (pair.other_index >= 0)
        write_other(pair, likeness);
      else
        write_test(pair, likeness);
      html_.close("div");
    }
    html_.close("div");
  }

 private:
  /// The file may be of another set by now.
  [[nodiscard]] bool is_in_set(std::int64_t index, const std::string& name) const {
    return index >= 0 && index < run_.dataset->size() && run_.dataset->describe(index) == name;
  }
  [[nodiscard]] std::string label_text(std::int64_t index) const {
    return fmt::format("label {}", run_.dataset->label(index));
  }

  void write_other(const CopyPair& pair, const std::string& likeness) {
    if (!is_in_set(pair.other_index, pair.other_name)) return;
    images_.write(pair.other_index,
                  {"pruned", label_text(pair.other_index) + ", " + likeness, pair.other_name});
  }

  void write_test(const CopyPair& pair, const std::string& likeness) {
    const TestImage found = tests_.find(pair.other_name);
    if (found.set == nullptr) return;
    constexpr std::size_t kMostOfAnImage = 100'000;
    PageImages(html_, *found.set, kMostOfAnImage)
        .write(found.index, {"cleaned", "test image, " + likeness, pair.other_name});
  }

  eval::HtmlWriter& html_;
  const ReportRun& run_;
  PageImages images_;
  TestSets tests_;
};

std::string kind_text(const std::string& kind) {
  if (kind == "near") return "Copies inside an identity";
  if (kind == "across") return "Copies under two labels";
  return "Images of test sets";
}

}  // namespace

void write_copies(eval::HtmlWriter& html, const ReportRuns& runs, std::size_t most_bytes) {
  if (std::none_of(runs.begin(), runs.end(), [](const auto& run) { return run.found_copies; }))
    return;
  write_heading(html, "copies", "Copies");
  html.element(
      "p",
      "Pairs of images that show one photograph, those that are least alike. Solid frame: "
      "the first sample of a pair, which without_duplicates.h5 keeps, or the training image of a "
      "leak, which without_leaks.h5 drops. Double frame: the test image.",
      {{"class", "note"}});
  for (const ReportRun& run : runs) {
    if (!run.found_copies) continue;
    if (run.copies.empty()) html.element("p", "No pairs were found" + run_suffix(runs, run) + ".");
    for (const auto& [kind, pairs] : run.copies) {
      html.element("h3", fmt::format("{}{} ({}{})", kind_text(kind), run_suffix(runs, run),
                                     static_cast<std::size_t>(pairs.count) > pairs.shown.size()
                                         ? fmt::format("{} of ", pairs.shown.size())
                                         : "",
                                     pairs.count));
      if (run.dataset)
        CopySheets(html, run, most_bytes / runs.size() / run.copies.size()).write(pairs);
      else
        html.element("p", "No images: they need the data set.", {{"class", "note"}});
    }
  }
}

}  // namespace diffprob::launch
