#include "data/check/index_scan.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "data/error.h"
#include "data/files/text_lines.h"
#include "data/records/index.h"

namespace diffprob::data {
namespace {

constexpr std::size_t kShown = 60;  // characters of a line, in a message

std::optional<Finding> problem_of(std::string_view text, std::int64_t rec_bytes, IndexLine& line) {
  if (!parse_index_line(text, line.key, line.offset))
    return Finding{.kind = FindingKind::kIndex,
                   .message = "expected key<TAB>offset, found \"" + printable(text, kShown) + "\""};
  if (line.offset % 4 == 0 && line.offset < rec_bytes) return std::nullopt;
  return Finding{.kind = FindingKind::kIndex,
                 .key = line.key,
                 .offset = line.offset,
                 .message = "offset " + std::to_string(line.offset) + " is outside the .rec (" +
                            std::to_string(rec_bytes) + " bytes, records start at multiples of 4)"};
}

/// Leaves the first of equal ones, in the order of the file, and lists the others. Lines come
/// sorted by `projection`, stably.
template <typename Projection>
void drop_repeated(ScannedIndex& index, Projection projection, const char* what) {
  const auto same = [&](const IndexLine& a, const IndexLine& b) {
    return std::invoke(projection, a) == std::invoke(projection, b);
  };
  for (auto at = index.lines.begin(); at != index.lines.end();) {
    const auto end = std::find_if_not(at, index.lines.end(),
                                      [&](const IndexLine& line) { return same(*at, line); });
    for (auto repeated = std::next(at); repeated != end; ++repeated)
      index.findings.push_back({.kind = FindingKind::kIndex,
                                .key = repeated->key,
                                .offset = repeated->offset,
                                .message = "key " + std::to_string(repeated->key) + " at offset " +
                                           std::to_string(repeated->offset) + ": key " +
                                           std::to_string(at->key) + " at offset " +
                                           std::to_string(at->offset) + " has the same " + what});
    at = end;
  }
  index.lines.erase(std::unique(index.lines.begin(), index.lines.end(), same), index.lines.end());
}

void read_lines(const std::string& idx_path, std::int64_t rec_bytes, ScannedIndex& index) {
  TextLines lines(idx_path);
  while (lines.next()) {
    IndexLine entry{0, 0};
    auto problem = problem_of(lines.text(), rec_bytes, entry);
    if (!problem.has_value()) {
      index.lines.push_back(entry);
      continue;
    }
    problem->message =
        idx_path + " line " + std::to_string(lines.number()) + ": " + problem->message;
    index.findings.push_back(std::move(*problem));
  }
}

}  // namespace

ScannedIndex scan_index(const std::string& idx_path, std::int64_t rec_bytes) {
  ScannedIndex index;
  try {
    read_lines(idx_path, rec_bytes, index);
  } catch (const DataError& error) {  // no text, or not readable: as if no record were listed
    index.findings.push_back({.kind = FindingKind::kIndex, .message = error.what()});
  }
  std::ranges::stable_sort(index.lines, {}, &IndexLine::key);
  drop_repeated(index, &IndexLine::key, "key");
  std::ranges::stable_sort(index.lines, {}, &IndexLine::offset);
  drop_repeated(index, &IndexLine::offset, "offset");
  return index;
}

}  // namespace diffprob::data
