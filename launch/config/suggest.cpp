#include "launch/config/suggest.h"

#include <algorithm>
#include <numeric>

namespace diffprob::launch {
namespace {

/// Edits between two words (insert, delete, replace, swap of neighbours); `limit` when there are as
/// many or more.
std::size_t edit_distance(const std::string& a, const std::string& b, std::size_t limit) {
  std::vector<std::size_t> second_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), 0u);
  std::size_t least_in_last = 0;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], second_last[j - 2] + 1);
    }
    // Rows build on the two before them and never fall below both.
    const std::size_t least = *std::ranges::min_element(row);
    if (std::min(least, least_in_last) >= limit) return limit;
    least_in_last = least;
    second_last.swap(last);
    last.swap(row);
  }
  return std::min(last[b.size()], limit);
}

}  // namespace

std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  std::size_t nearest = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : known) {
    // "batch_size" for "train.batch_size" is as good as a slip.
    const bool tail = candidate.size() > word.size() && candidate.ends_with("." + word);
    // The lengths alone are this far apart: a long junk key costs nothing.
    const std::size_t lengths =
        std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
    if (!tail && lengths >= nearest) continue;
    const std::size_t distance = tail ? 1 : edit_distance(word, candidate, nearest);
    if (distance < nearest) {
      nearest = distance;
      best = &candidate;
    }
  }
  return best == nullptr ? "" : ", did you mean " + *best + "?";
}

}  // namespace diffprob::launch
