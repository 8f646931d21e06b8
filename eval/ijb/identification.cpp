#include "eval/ijb/identification.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "eval/ijb/dot_kernel.h"
#include "eval/metrics/roc.h"

namespace diffprob::eval {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kFpirs[] = {0.01, 0.1};
constexpr double kLargestFpir = 0.1;

/// The highest of many values, in any order. Holds at most about twice as many.
class Highest {
 public:
  explicit Highest(std::size_t count) : count_(count) {}
  void add(double value) {
    if (count_ == 0 || value < lowest_) return;
    values_.push_back(value);
    if (values_.size() >= 2 * count_ + 1024) cut();
  }
  [[nodiscard]] std::vector<double>& values() {
    cut();
    return values_;
  }

 private:
  void cut() {
    if (values_.size() <= count_) return;
    const auto last = values_.begin() + static_cast<std::ptrdiff_t>(count_) - 1;
    std::nth_element(values_.begin(), last, values_.end(), std::greater<>());
    lowest_ = *last;
    values_.resize(count_);
  }

  std::size_t count_;
  double lowest_ = -std::numeric_limits<double>::infinity();
  std::vector<double> values_;
};

/// What a probe met in one gallery.
struct Search {
  double mate = kNan;   ///< highest score with its subject
  double other = kNan;  ///< highest score with another subject
  std::int64_t better = 0;
};

/// Part [begin, end) of the gallery templates, in which results are counted.
struct Gallery {
  std::string name;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::int64_t mated = 0;  ///< probes of all ranks with a mate here
};

std::int64_t count_mated(const std::vector<std::int64_t>& subjects, const Gallery& gallery,
                         const SubjectList& probes) {
  std::vector<std::int64_t> known(subjects.begin() + static_cast<std::ptrdiff_t>(gallery.begin),
                                  subjects.begin() + static_cast<std::ptrdiff_t>(gallery.end));
  std::sort(known.begin(), known.end());
  return std::count_if(probes.subject.begin(), probes.subject.end(), [&](std::int64_t subject) {
    return std::binary_search(known.begin(), known.end(), subject);
  });
}

std::size_t searched_others(const Gallery& gallery) {
  return static_cast<std::size_t>(std::ceil(kLargestFpir * static_cast<double>(gallery.mated)));
}

Search search(const Gallery& gallery, std::span<const double> scores,
              const std::vector<std::int64_t>& subjects, std::int64_t subject, Highest& others) {
  Search found;
  for (std::size_t i = gallery.begin; i < gallery.end; ++i) {
    double& highest = subjects[i] == subject ? found.mate : found.other;
    if (!(highest >= scores[i])) highest = scores[i];
  }
  if (std::isnan(found.mate)) return found;
  for (std::size_t i = gallery.begin; i < gallery.end; ++i) {
    if (subjects[i] == subject) continue;
    found.better += scores[i] > found.mate ? 1 : 0;
    others.add(scores[i]);
  }
  return found;
}

double share_of(std::int64_t count, std::int64_t whole) {
  return whole == 0 ? kNan : static_cast<double>(count) / static_cast<double>(whole);
}

double closed_set(const std::vector<double>& mates, const std::vector<double>& descending_others,
                  double fpir) {
  const auto place = static_cast<std::size_t>(std::ceil(fpir * static_cast<double>(mates.size())));
  if (mates.empty() || place == 0 || place > descending_others.size()) return kNan;
  const double threshold = descending_others[place - 1];
  return share_of(
      std::count_if(mates.begin(), mates.end(), [&](double mate) { return mate > threshold; }),
      static_cast<std::int64_t>(mates.size()));
}

IdentificationResult summarise(const Gallery& gallery, const std::vector<Search>& searches,
                               const std::vector<double>& descending_others) {
  std::vector<double> mates, strangers;
  std::int64_t within[3] = {0, 0, 0};
  constexpr std::int64_t kRanks[3] = {1, 5, 10};
  for (const Search& s : searches) {
    if (std::isnan(s.mate)) {
      strangers.push_back(s.other);
      continue;
    }
    mates.push_back(s.mate);
    for (int r = 0; r < 3; ++r) within[r] += s.better < kRanks[r] ? 1 : 0;
  }
  IdentificationResult result;
  result.gallery = gallery.name;
  result.gallery_templates = static_cast<std::int64_t>(gallery.end - gallery.begin);
  result.mated_probes = static_cast<std::int64_t>(mates.size());
  result.other_probes = static_cast<std::int64_t>(strangers.size());
  result.rank1 = share_of(within[0], result.mated_probes);
  result.rank5 = share_of(within[1], result.mated_probes);
  result.rank10 = share_of(within[2], result.mated_probes);
  const Roc roc = Roc::of_scores(mates, strangers);
  for (const double fpir : kFpirs)
    result.tpir.push_back({fpir, roc.tar_at_far(fpir), closed_set(mates, descending_others, fpir)});
  return result;
}

}  // namespace

std::vector<IdentificationResult> identify(std::span<const double> templates, std::int64_t dim,
                                           const std::vector<SubjectList>& galleries,
                                           const SubjectList& probes,
                                           dist::HostCollectives& control) {
  std::vector<std::int32_t> rows;
  std::vector<std::int64_t> subjects;
  std::vector<Gallery> parts;
  for (const SubjectList& list : galleries) {
    parts.push_back({list.name, rows.size(), rows.size() + list.templates.size()});
    rows.insert(rows.end(), list.templates.begin(), list.templates.end());
    subjects.insert(subjects.end(), list.subject.begin(), list.subject.end());
  }
  if (galleries.size() > 1) parts.push_back({"all", 0, rows.size()});
  std::vector<Highest> others;
  for (Gallery& gallery : parts) {
    gallery.mated = count_mated(subjects, gallery, probes);
    others.emplace_back(searched_others(gallery));
  }

  const auto count = static_cast<std::int64_t>(probes.templates.size());
  const std::int64_t begin = count * control.rank() / control.world_size();
  const std::int64_t end = count * (control.rank() + 1) / control.world_size();
  std::vector<std::vector<Search>> found(parts.size());
  std::vector<double> scores(rows.size());
  for (std::int64_t p = begin; p < end; ++p) {
    const auto i = static_cast<std::size_t>(p);
    dots_with_rows(templates.data() + probes.templates[i] * dim, templates.data(), dim, rows.data(),
                   static_cast<std::int64_t>(rows.size()), scores.data());
    for (std::size_t g = 0; g < parts.size(); ++g)
      found[g].push_back(search(parts[g], scores, subjects, probes.subject[i], others[g]));
  }

  std::vector<IdentificationResult> results;
  for (std::size_t g = 0; g < parts.size(); ++g) {
    const auto all = control.all_gather_v(std::span<const Search>(found[g]));
    auto highest = control.all_gather_v(std::span<const double>(others[g].values()));
    std::sort(highest.begin(), highest.end(), std::greater<>());
    results.push_back(summarise(parts[g], all, highest));
  }
  return results;
}

}  // namespace diffprob::eval
